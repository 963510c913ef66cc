"""What every other package needs: errors, files, the store of results, progress, plots."""
