"""What firmware would start of an image: its programs, and the menus that they come to."""
