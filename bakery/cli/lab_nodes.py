"""`bakery lab up`, `status`, `console`, `run`, `down`: the life of a lab."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bakery.cli.options import FOLDER, Output, output

if TYPE_CHECKING:
    from bakery.lab.state import Firmware, Lab, NicModel, Node

MOST_NODES = 64
MOST_CPUS = 64


def in_folder(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --lab, the folder of the lab it is about."""
    return click.option(
        "--lab", "folder", type=FOLDER, metavar="DIR",
        help="The lab's folder.  [default: BAKERY_LAB, or ~/.local/state/bakery/lab]",
    )(function)  # fmt: skip


def secrets_shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --show-secrets: without it no password is printed."""
    return click.option("--show-secrets", is_flag=True, help="Print the BMCs' passwords.")(function)


def lab_folder(folder: Path | None) -> Path:
    """The folder of the lab that a command is about."""
    from bakery.lab import state

    return folder.absolute() if folder else state.default_folder()


@click.command(short_help="Bring up nodes, their BMCs and a network.")
@click.option("--nodes", type=click.IntRange(1, MOST_NODES), default=1, help="Number of nodes.")
@click.option(
    "--firmware", type=click.Choice(["bios", "uefi"]), default="bios", help="Firmware of the nodes."
)
@click.option(
    "--nic",
    type=click.Choice(["virtio", "e1000"]),
    default="virtio",
    help="Model of their network cards.",
)
@click.option("--disk", default="10G", metavar="SIZE", help="Size of each disk, blank and sparse.")
@click.option(
    "--memory", type=click.IntRange(128, 1 << 20), default=2048, metavar="MIB",
    help="Memory of each node.",
)  # fmt: skip
@click.option(
    "--cpus", type=click.IntRange(1, MOST_CPUS), default=1, help="Processors of each node."
)
@click.option(
    "--address", default="192.168.77.1/24", metavar="ADDRESS/PREFIX",
    help="This machine's address on the lab's network.",
)  # fmt: skip
@in_folder
@secrets_shown
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
    *,
    show_secrets: bool,
) -> None:
    """Bring up nodes without an operating system, each with a BMC, on a network of their own.

    They start powered off, stay until `bakery lab down`, and reach nothing outside their network.
    """
    from bakery.host.kvm import acceleration
    from bakery.lab import control, network
    from bakery.lab.keeper import Settings
    from bakery.lab.node import disk_size

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
    show(out, lab, secrets=show_secrets)


@click.command()
@in_folder
@secrets_shown
@output
def status(out: Output, folder: Path | None, *, show_secrets: bool) -> None:
    """Show each node with its power state, BMC and console."""
    from bakery.lab import state

    show(out, state.load(lab_folder(folder)), secrets=show_secrets)


@click.command()
@in_folder
@output
def down(out: Output, folder: Path | None) -> None:
    """Remove the lab: nodes, disks and network."""
    from bakery.lab import control

    place = lab_folder(folder)
    found = control.down(place)
    out.print("the lab is down" if found else f"no lab is up in {place}")
    out.document({"lab": str(place), "found": found})


def show(out: Output, lab: "Lab", *, secrets: bool) -> None:
    """Answer with the lab's record, the passwords in it masked unless `secrets` are wanted."""
    lab = lab if secrets else lab.masked()
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
