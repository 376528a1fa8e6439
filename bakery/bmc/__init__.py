"""A node's BMC: its power and its next boot device."""
