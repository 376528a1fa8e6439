"""What a finished build is, and the folder it lies in."""
