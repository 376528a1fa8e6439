"""What the node says on its console: one line each, with the seconds since the kernel started."""

import sys
import time


def say(text: str) -> None:
    """Write one line; what others sent may be in it, so control characters are left out."""
    line = "".join(c if c.isprintable() else "?" for c in text)
    sys.stdout.write(f"agent [{time.monotonic():7.2f}] {line}\n")
    sys.stdout.flush()
