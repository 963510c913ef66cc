"""The serial link: both ends of the protocol between host and board."""
