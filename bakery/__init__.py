"""bakery puts any Linux image onto bare metal, and proves it before it leaves the bench."""

__version__ = "0.1.0"
