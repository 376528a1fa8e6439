"""What a disk holds: partition tables, LVM, and the filesystems' own superblocks."""
