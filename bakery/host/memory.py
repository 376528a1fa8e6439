"""A bound on this process's own memory, while it reads what an image says."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from bakery.host.errors import BakeryError

PAGE_BYTES = resource.getpagesize()


@contextlib.contextmanager
def bounded(more_bytes: int, what: str) -> Iterator[None]:
    """Inside the block the address space grows by `more_bytes` at most; then BakeryError.

    It holds for all threads, and for programs started meanwhile that have no bound of their own.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE_BYTES  # proc(5)
    lower = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([used + more_bytes, *lower]), hard))
    try:
        yield
    except MemoryError:
        raise BakeryError(f"{what} takes more memory than {more_bytes} bytes") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
