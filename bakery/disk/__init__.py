"""Bytes and nothing else: partition tables, LVM metadata, qcow2, extents."""
