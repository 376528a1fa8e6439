"""Ironic's own database of one file: changed behind its back, and kept from it."""

import contextlib
import sqlite3
from collections.abc import Iterator

from tests.services.openstack import Services

WAIT_SECONDS = 60  # for Ironic to be done with it


@contextlib.contextmanager
def opened(services: Services) -> Iterator[sqlite3.Connection]:
    """Ironic's database; what the block changes in it is kept where the block ends well."""
    assert services.ironic
    file = services.ironic.folder / "ironic.sqlite"
    with contextlib.closing(sqlite3.connect(file, timeout=WAIT_SECONDS)) as database, database:
        yield database


@contextlib.contextmanager
def locked(services: Services, change: str) -> Iterator[None]:
    """While the block lasts, a `change`, INSERT ON nodes say, ends in "database is locked".

    The message is sqlite's own. Two threads that meet would cause it too, but not at will.
    """
    with opened(services) as database:
        database.execute(
            f"CREATE TRIGGER locked BEFORE {change} "
            "BEGIN SELECT RAISE(ABORT, 'database is locked'); END"
        )
    try:
        yield
    finally:
        with opened(services) as database:
            database.execute("DROP TRIGGER locked")


def content(services: Services) -> str:
    """All that stands in it, as the SQL that would make it anew."""
    with opened(services) as database:
        return "\n".join(database.iterdump())
