"""Two ways into an image's files."""
