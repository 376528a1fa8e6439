"""Glance: publishing builds, their health there, and bringing them back."""
