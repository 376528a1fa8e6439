"""Debian's userland laid out as other projects lay out theirs, and what bakery makes of it."""
