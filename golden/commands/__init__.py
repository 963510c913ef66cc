"""The commands of this folder, a module each, and the options that commands of all folders have."""
