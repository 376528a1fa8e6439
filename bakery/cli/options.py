"""What every command has in common: --json, -v, -q, and where output goes.

Results go to standard output, talk to standard error.
"""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from bakery import report as reporting

CLOUD = click.option(
    "--cloud", help="A cloud of clouds.yaml.  [default: OS_CLOUD and OS_* variables]"
)


class Output:
    """How one command answers: `print` and `document` for results, `report` for talk."""

    def __init__(self, *, json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.verbose = verbose
        self.quiet = quiet
        self.report = reporting.silent()

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
            self.report = reporting.Report(sink)
            try:
                yield
            finally:
                sink.close()

    def print(self, text: str = "") -> None:
        """Write a line of the result for a person; nothing with --json."""
        if not self.json:
            click.echo(text)

    def document(self, value: object) -> None:
        """Write the result for a program, as one JSON document; nothing without --json."""
        if self.json:
            import msgspec

            encoded = msgspec.json.encode(value, enc_hook=str)
            click.echo(msgspec.json.format(encoded, indent=2).decode())


def output(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --json, -v and -q, and hand it an `Output` as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
    @click.option("-v", "--verbose", is_flag=True, help="Tell every step on a line of its own.")
    @click.option("-q", "--quiet", is_flag=True, help="Tell failures alone.")
    @functools.wraps(function)
    def command(
        *args: object, as_json: bool, verbose: bool, quiet: bool, **options: object
    ) -> object:
        if verbose and quiet:
            raise click.UsageError("--verbose and --quiet exclude each other")
        out = Output(json=as_json, verbose=verbose, quiet=quiet)
        with out.live():
            return function(out, *args, **options)

    return command
