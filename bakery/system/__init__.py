"""The meaning of a system's files: BLS, GRUB, fstab, OSTree, kernel arguments."""
