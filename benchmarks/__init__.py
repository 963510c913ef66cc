"""What both arrays cost on a device and achieve on real traces, from one command."""
