"""Glance: publishing builds, and bringing them back."""
