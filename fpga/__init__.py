"""Bitstreams for ECP5 boards: open tools, serial link, SDRAM."""
