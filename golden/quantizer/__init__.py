"""The SpikeQuant quantizer: sites, levels, weight codes, and the recipe that combines them."""
