"""The golden model: the arithmetic of SpikeQuant in float, integers and spike time."""
