"""Two ways to an image's files: directly in the cage, and by libguestfs in a virtual machine."""
