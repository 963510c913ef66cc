"""The spiking accelerator in Amaranth, and the packets that it speaks."""
