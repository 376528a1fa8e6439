"""A QEMU guest: its command line, its firmware and its console."""
