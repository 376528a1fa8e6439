"""What firmware would start of an image: its programs, the menus they come to, and their entries."""
