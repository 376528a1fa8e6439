"""Starts the service that SERVICE_MODULE names, in its environment: under uWSGI, or its main().

oslo.db begins each of sqlite's transactions without asking for the right to write. Two that have
read and then want to write cannot both go on: sqlite tells one of them "database is locked" at
once, whatever time-out is set, and the service answers 500 or gives up what it was at. Here each
asks for that right as it begins, and waits for its turn (sqlite.org/lang_transaction.html, 2.2).
"""

import importlib
import os
import sys
from typing import Any

from sqlalchemy import event  # type: ignore[import-not-found]
from sqlalchemy.engine import Engine  # type: ignore[import-not-found]


@event.listens_for(Engine, "before_cursor_execute", retval=True)  # type: ignore[untyped-decorator]
def begin_immediately(
    connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    """SQLAlchemy's hook: the statement to run in place of this one."""
    return ("BEGIN IMMEDIATE" if statement == "BEGIN" else statement), parameters


service = importlib.import_module(os.environ["SERVICE_MODULE"])
if __name__ == "__main__":
    sys.exit(service.main())
application = service.application
