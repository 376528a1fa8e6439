"""A database of one file that keeps Ironic out, as it does where two of its threads meet in it."""

import contextlib
import sqlite3
from collections.abc import Iterator

from tests.services.openstack import Services


@contextlib.contextmanager
def locked(services: Services, change: str) -> Iterator[None]:
    """While the block lasts, a `change`, INSERT ON nodes say, ends in "database is locked".

    The message is sqlite's own. Two threads that meet would cause it too, but not at will.
    """
    _execute(
        services,
        f"CREATE TRIGGER locked BEFORE {change} "
        "BEGIN SELECT RAISE(ABORT, 'database is locked'); END",
    )
    try:
        yield
    finally:
        _execute(services, "DROP TRIGGER locked")


def _execute(services: Services, statement: str) -> None:
    assert services.ironic
    file = services.ironic.folder / "ironic.sqlite"
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as base, base:
        base.execute(statement)
