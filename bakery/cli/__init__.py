"""One file per command group: parsing and printing, no work."""
