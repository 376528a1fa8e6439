"""`bakery lab up`, `status`, `console`, `run`, `down`: the life of a lab."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.lab.state import Firmware, Lab, NicModel, Node

MOST_NODES = 64
MOST_CPUS = 64


def in_folder(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --lab, the folder of the lab it is about."""
    return click.option(
        "--lab", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
        help="The lab's folder; also the variable BAKERY_LAB."
        "  [default: ~/.local/state/bakery/lab]",
    )(function)  # fmt: skip


def lab_folder(folder: Path | None) -> Path:
    """The folder a command is about."""
    from bakery.lab import state

    return folder.absolute() if folder else state.default_folder()


@click.command()
@click.option("--nodes", type=click.IntRange(1, MOST_NODES), default=1, show_default=True)
@click.option(
    "--firmware", type=click.Choice(["bios", "uefi"]), default="bios", show_default=True,
)  # fmt: skip
@click.option("--nic", type=click.Choice(["virtio", "e1000"]), default="virtio", show_default=True)
@click.option("--disk", default="10G", show_default=True, metavar="SIZE", help="Sparse and blank.")
@click.option(
    "--memory", type=click.IntRange(128, 1 << 20), default=2048, show_default=True, metavar="MIB",
)  # fmt: skip
@click.option("--cpus", type=click.IntRange(1, MOST_CPUS), default=1, show_default=True)
@click.option(
    "--address", default="192.168.77.1/24", show_default=True, metavar="ADDRESS/PREFIX",
    help="The lab's own, and its network's size.",
)  # fmt: skip
@in_folder
@output
def up(
    out: Output,
    nodes: int,
    firmware: "Firmware",
    nic: "NicModel",
    disk: str,
    memory: int,
    cpus: int,
    address: str,
    folder: Path | None,
) -> None:
    """Bring up machines without an operating system, each with a BMC, on a network of their own.

    They are switched off, and stay until `bakery lab down`. Nothing of the network reaches
    outside.
    """
    from bakery.lab import control, network
    from bakery.lab.keeper import Settings
    from bakery.lab.node import disk_size
    from bakery.machine import acceleration

    place = lab_folder(folder)
    settings = Settings(
        nodes=nodes,
        firmware=firmware,
        nic=nic,
        disk_bytes=disk_size(disk),
        memory_mib=memory,
        cpus=cpus,
        address=str(network.address(address)),
        acceleration=acceleration(),
    )
    with out.report.step("lab", f"{nodes} {firmware} nodes") as step:
        lab = control.up(place, settings)
        step.summary(f"up at {lab.address}")
    show(out, lab)


@click.command()
@in_folder
@output
def status(out: Output, folder: Path | None) -> None:
    """Tell what is up: each node, its power, its BMC and its console."""
    from bakery.lab import state

    show(out, state.load(lab_folder(folder)))


@click.command()
@in_folder
@output
def down(out: Output, folder: Path | None) -> None:
    """Take the lab down: nodes, disks, network and all."""
    from bakery.lab import control

    place = lab_folder(folder)
    found = control.down(place)
    out.print("the lab is down" if found else f"no lab is up in {place}")
    out.document({"lab": str(place), "found": found})


def show(out: Output, lab: "Lab") -> None:
    """Answer with the lab's record."""
    out.document(lab)
    for node in lab.nodes:
        for line in _lines(node):
            out.print(line)


def _lines(node: "Node") -> Iterator[str]:
    """A node in words."""
    bmc = node.bmc
    yield f"{node.name}: {node.state}, boots from {node.boot}, {node.mac}"
    yield f"  bmc      {bmc.address} port {bmc.port}, {bmc.username} / {bmc.password}"
    yield f"  console  {node.console}"
    if node.fault:
        yield f"  fault    {node.fault}"
