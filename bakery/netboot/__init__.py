"""What a node is given over the network: addresses, boot programs, files, and one small API.

Each server is a class with `start` and `stop`, also as a `with` block. It is bound to one
interface or address, works on a thread of its own, takes every packet for hostile, and tells
what happened through a callback of typed records (`bakery.netboot.wire_events`).
"""
