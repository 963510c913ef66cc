"""The encoder: sorts the levels of a token into spikes in time order."""
