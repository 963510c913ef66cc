"""Shared code of all folders: errors, files, the store of results, progress, plots."""
