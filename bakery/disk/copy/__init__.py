"""Copying ranges of an image, holes left out, and finding what an overlay changed."""
