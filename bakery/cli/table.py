"""A table as text, for standard output."""

import io
import shutil
import sys
from collections.abc import Iterable, Sequence

from bakery.host.printable import printable

# Where there is no terminal nothing is cut to its width.
WIDTH_OF_A_FILE = 240


def text(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    whole: Sequence[str] = (),
    right: Sequence[str] = (),
) -> str:
    """The table, as wide as the terminal; what is in its cells may be anything, and stays text.

    Columns in `whole` are never broken; those in `right` end at the same place.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(
            heading,
            no_wrap=heading in whole,
            overflow="fold",
            justify="right" if heading in right else "left",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH_OF_A_FILE
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines())
