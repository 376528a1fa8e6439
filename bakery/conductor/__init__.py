"""Our own conductor: it takes nodes from power-on to login, and writes their disks."""
