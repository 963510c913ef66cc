"""Decoder block in integers: everything between its matrices, but for attention."""
