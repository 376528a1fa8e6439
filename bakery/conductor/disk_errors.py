"""Why a node's disk does not hold what it should; another try may mend either."""

from bakery.host.errors import BakeryError


class DiskFailed(BakeryError):
    """The disk did not carry out a request, or cannot be reached any more."""


class Mismatch(BakeryError):
    """The disk gave back other bytes than were written."""
