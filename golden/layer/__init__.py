"""One linear layer as integers: its spec, its arithmetic, and its spikes in time order."""
