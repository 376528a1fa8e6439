"""Bytes and nothing else: what lies where on a disk and in an image file, and moving it."""
