"""The options that say where the nodes of a deploy are: in a lab, or in a rack."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bakery.cli.lab_nodes import in_folder, lab_folder
from bakery.cli.options import FOLDER, PATH, several
from bakery.host.errors import UsageError

if TYPE_CHECKING:
    from bakery.conductor.messages import Until
    from bakery.conductor.site import Site


@dataclass(frozen=True)
class Place:
    """What was said of the place: a lab's folder, or a nodes file with an interface.

    `every` means all nodes of the file, `state` the folder of a rack's journals.
    """

    nodes_file: Path | None
    interface: str | None
    every: bool
    state: Path | None
    lab: Path | None

    def site(self, names: Sequence[str], until: "Until", *, by_media: bool) -> "Site":
        """The named nodes, and their network; `by_media`, with BMCs that have virtual drives.

        UsageError where options do not go together. Raises rack_site.Wrong where the nodes file
        has faults, and BakeryError.
        """
        from bakery.conductor import lab_site, rack_site

        if self.every and names:
            raise UsageError("--all already includes any named node", "leave one of them out")
        if not self.every and not names:
            raise UsageError("no NODE is named", "bakery deploy NODE… --image DIR")
        if self.nodes_file is None:
            self._refuse_racks()
            return lab_site.of_lab(lab_folder(self.lab), names, redfish=by_media)
        if self.interface is None:
            raise UsageError(
                "--nodes needs the interface that the nodes boot over", "--interface IF; ip link"
            )
        if self.lab:
            raise UsageError("--lab and --nodes are mutually exclusive", "leave one of them out")
        if until == "login":
            raise UsageError(
                "a rack's consoles are not read, so no login prompt can be seen", "--until ssh"
            )
        state = (self.state or rack_site.default_state()).absolute()
        return rack_site.of_file(self.nodes_file, names, self.interface, state, every=self.every)

    def _refuse_racks(self) -> None:
        """UsageError for an option that means nothing in a lab."""
        given = (("--interface", self.interface), ("--all", self.every), ("--state", self.state))
        for option, value in given:
            if value:
                raise UsageError(f"{option} goes with --nodes FILE", "leave it out for a lab")


_OPTIONS = several(
    click.option(
        "--nodes",
        "nodes_file",
        type=PATH,
        metavar="FILE",
        help="Nodes file of a rack, as for `bakery nodes enroll`.  [default: the lab's nodes]",
    ),
    click.option(
        "--interface", metavar="IF", help="With --nodes, the interface that they boot over."
    ),
    click.option("--all", "every", is_flag=True, help="With --nodes, all nodes of the file."),
    click.option(
        "--state",
        type=FOLDER,
        metavar="DIR",
        help="With --nodes, where journals are kept.  [default: ~/.local/state/bakery/rack]",
    ),
    in_folder,
)


def in_a_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the place, as one `place`."""

    @functools.wraps(function)
    def command(
        *args: object,
        nodes_file: Path | None,
        interface: str | None,
        every: bool,
        state: Path | None,
        folder: Path | None,
        **options: object,
    ) -> object:
        place = Place(nodes_file, interface, every, state, folder)
        return function(*args, place=place, **options)

    wrapped: Callable[..., Any] = _OPTIONS(command)
    return wrapped
