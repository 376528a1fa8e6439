"""The options of nodes that boot from virtual media instead of the network."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from bakery.cli.options import EXISTING_FILE, several

_OPTIONS = several(
    click.option(
        "--boot",
        type=click.Choice(["network", "media"]),
        default="network",
        help="What nodes boot the ramdisk from; media: their BMC's virtual drive (Redfish).",
    ),
    click.option(
        "--media-certificate",
        "certificate",
        type=EXISTING_FILE,
        metavar="FILE",
        help="With --boot media, serve over HTTPS with this PEM certificate.",
    ),
    click.option(
        "--media-key",
        "key",
        type=EXISTING_FILE,
        metavar="FILE",
        help="Its private key, if in a separate file.",
    ),
)


def by_media(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options as one `media`: None for the network."""

    @functools.wraps(function)
    def command(
        *args: object,
        boot: Literal["network", "media"],
        certificate: Path | None,
        key: Path | None,
        **options: object,
    ) -> object:
        from bakery.conductor.messages import Media

        if boot != "media" and (certificate or key):
            raise click.UsageError("--media-certificate and --media-key go with --boot media")
        if key and not certificate:
            raise click.UsageError("--media-key goes with --media-certificate")
        places = [str(path.absolute()) if path else "" for path in (certificate, key)]
        media = Media(*places) if boot == "media" else None
        return function(*args, media=media, **options)

    wrapped: Callable[..., Any] = _OPTIONS(command)
    return wrapped
