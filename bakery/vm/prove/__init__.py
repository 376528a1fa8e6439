"""Proof that a build boots: in QEMU, to a login prompt or a named failure."""
