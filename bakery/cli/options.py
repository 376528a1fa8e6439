"""What every command has in common: --json, -v, -q, and where output goes.

Results go to standard output, talk to standard error.
"""

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bakery.host import report as reporting
from bakery.host.printable import printable, printable_json, printable_lines

if TYPE_CHECKING:
    from bakery.image.opened import Means

UNCONFINED = "unconfined"

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)

BUILD = click.argument("directory", metavar="DIR", type=PATH)
CLOUD = click.option(
    "--cloud", metavar="NAME", help="Cloud in clouds.yaml.  [default: the OS_* variables]"
)


def several(*each: Callable[..., Any]) -> Callable[..., Any]:
    """Several arguments and options as one decorator; help shows them in this order."""

    def give(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorate in reversed(each):
            function = decorate(function)
        return function

    return give


class Seconds(click.FloatRange):
    """A time to wait, from one second to `most`.

    A NaN is no such time: it compares with nothing, passes both bounds, and would never be over.
    """

    def __init__(self, most: float) -> None:
        super().__init__(1, most)

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As FloatRange has it; wrong usage where it is no number."""
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return found


class Output:
    """How one command answers: `print` and `document` for results, `report` for talk."""

    def __init__(self, *, json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.verbose = verbose
        self.quiet = quiet
        self.report = reporting.silent()
        self._away: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """Hold the terminal for progress, as long as the command runs."""
        stream = sys.stderr
        if self.json:
            self.report = reporting.Report(reporting.json_sink(stream))
            yield
        elif self.quiet or self.verbose or not stream.isatty():
            self.report = reporting.Report(reporting.lines_sink(stream, quiet=self.quiet))
            yield
        else:
            sink = reporting.LiveSink(stream)
            self.report, self._away = reporting.Report(sink), sink.away
            try:
                yield
            finally:
                sink.close()

    def confirm(self, question: str) -> bool:
        """Ask whoever sits at the terminal; live progress, which would draw over it, is away."""
        with self._away():
            return click.confirm(printable_lines(question), err=True)

    def print(self, *lines: str) -> None:
        """Write lines of the result for a person; nothing with --json."""
        if not self.json:
            for line in lines:
                click.echo(printable(line))

    def styled(self, *parts: tuple[str, str]) -> None:
        """Write one line for a person out of texts, each with its colour, `bold`, or nothing."""
        if not self.json:
            click.echo("".join(_styled(printable(text), style) for text, style in parts))

    def text(self, text: str) -> None:
        """Write a text of several lines for a person; nothing with --json."""
        if not self.json:
            click.echo(printable_lines(text))

    def document(self, value: object) -> None:
        """Write the result for a program, as one JSON document; nothing without --json."""
        if self.json:
            import msgspec

            plain = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
            click.echo(printable_json(plain, indent=2))


LUKS_KEY = click.option(
    "--luks-key-file",
    type=PATH,
    metavar="FILE",
    help="Open what is encrypted with LUKS, by the passphrase in FILE (mode 0600).",
)


def means_of(luks_key_file: Path | None) -> "Means":
    """By what images are opened: with the passphrase in that file, where one is given."""
    from bakery.host import secret_file
    from bakery.image.opened import with_key

    return with_key(secret_file.first_line(luks_key_file).encode() if luks_key_file else None)


def reads_images(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --unconfined: without it, it refuses where it could not confine a parser."""

    @click.option(
        f"--{UNCONFINED}", is_flag=True, help="Read the image even where that cannot be confined."
    )
    @functools.wraps(function)
    def command(*args: object, **options: object) -> object:
        from bakery.host import sandbox

        if options.pop(UNCONFINED):
            sandbox.permit_unconfined()
        sandbox.confined()
        return function(*args, **options)

    return command


def _styled(text: str, style: str) -> str:
    if style == "bold":
        return click.style(text, bold=True)
    return click.style(text, fg=style) if style else text


def say(text: str) -> None:
    """Write one line of talk, to standard error."""
    click.echo(printable(text), err=True)


def output(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --json, -v and -q, and hand it an `Output` as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("-v", "--verbose", is_flag=True, help="Print every step on its own line.")
    @click.option("-q", "--quiet", is_flag=True, help="Only report failures.")
    @functools.wraps(function)
    def command(
        *args: object, as_json: bool, verbose: bool, quiet: bool, **options: object
    ) -> object:
        if verbose and quiet:
            raise click.UsageError("--verbose and --quiet are mutually exclusive")
        out = Output(json=as_json, verbose=verbose, quiet=quiet)
        with out.live():
            return function(out, *args, **options)

    return command
