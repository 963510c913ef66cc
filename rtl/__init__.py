"""The spiking accelerator in Amaranth, and the packets that it exchanges with a host."""
