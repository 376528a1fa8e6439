"""One file per command group: options in, text or JSON out, no work."""
