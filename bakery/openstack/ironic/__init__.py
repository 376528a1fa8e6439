"""Ironic: its nodes out of a file, and what it deploys."""
