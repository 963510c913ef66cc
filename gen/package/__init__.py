"""Files that take a generated accelerator into other tools."""
