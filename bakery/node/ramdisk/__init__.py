"""The deploy kernel and ramdisk, made from the distribution's own packages."""
