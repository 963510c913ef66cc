"""Everything that reads a file or a packet, fed with whatever finds a new way through it."""
