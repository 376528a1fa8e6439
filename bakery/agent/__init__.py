"""The node's half of a deployment: exports a disk over iSCSI and says so to the conductor.

Runs in the deploy ramdisk as the package `agent`, on a bare Python: the standard library alone,
and of that only what starts quickly. Nothing here imports another part of bakery.
"""
