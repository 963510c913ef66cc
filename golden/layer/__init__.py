"""One linear layer as integers: the spec, the arithmetic, and the spikes in time order."""
