"""The methods that SpikeQuant is compared with, one a file."""
