"""The node's half of a deploy: it offers its disk over iSCSI, or writes it itself.

Runs in the deploy ramdisk as the package `agent`, on a bare Python: the standard library alone,
and of that only what starts quickly. Nothing here imports another part of bakery.
"""
