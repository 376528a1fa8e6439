"""A build as a file: what is built of which image, and where it is published, in TOML."""
