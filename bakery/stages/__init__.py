"""One file per stage of the build."""
