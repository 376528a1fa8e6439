"""An image opened: its source file, its boot entries, and what it can become."""
