"""A build: what the user asked for, held against the image, and carried through its stages."""
