"""Meaning of files: BLS entries, fstab, OSTree layout, kernel arguments."""
