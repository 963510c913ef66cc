"""The neurons after the array: membranes, read-out, and packing of results."""
