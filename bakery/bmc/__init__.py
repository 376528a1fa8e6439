"""A node's BMC: its power, its next boot device, its virtual media, and which machine it is in."""
