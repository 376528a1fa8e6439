"""A MariaDB of one's own, on loopback: what an Ironic of several processes keeps its nodes in.

Its settings are its defaults, so a transaction is on the disk when it has been committed.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from bakery.host import run
from tests.conductor.targets import free_port

DATABASE = "ironic"
START_TIMEOUT_SECONDS = 120
POLL_SECONDS = 0.1
# The socket's name is one of its own folder: a longer path would not fit into sun_path (unix(7)).
SERVER = ("/usr/sbin/mariadbd", "--no-defaults", "--socket=socket", "--bind-address=127.0.0.1")
INSTALL = ("mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve an empty database from a new folder; the URL that SQLAlchemy knows it by."""
    folder.mkdir()
    account = ["--user=root"] if os.geteuid() == 0 else []
    data = f"--datadir={folder / 'data'}"
    run.run([*INSTALL, "--skip-test-db", data, *account], timeout=START_TIMEOUT_SECONDS)
    begin = folder / "begin.sql"
    begin.write_text(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb3;\n")
    port = free_port()
    argv = [*SERVER, data, f"--port={port}", f"--init-file={begin}", *account]
    log = folder / "mariadb.log"
    with log.open("wb") as output, run.spawn(argv, stdout=output, stderr=output) as process:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB does not answer: {run.tail(log.read_bytes())}")
            time.sleep(POLL_SECONDS)
        yield f"mysql+pymysql://root@127.0.0.1:{port}/{DATABASE}"


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
