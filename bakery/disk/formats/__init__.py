"""Image files: which format each is, and what in it speaks against it."""
