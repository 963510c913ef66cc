"""One module for each command of `spikequant`."""
