"""`bakery nodes`: the nodes of an OpenStack Ironic."""

import time
from typing import TYPE_CHECKING

import click

from bakery.cli import nodes_check, nodes_deploy, nodes_enroll, table
from bakery.cli.options import CLOUD, Output, Seconds, output
from bakery.host.errors import BakeryError

if TYPE_CHECKING:
    from bakery.openstack.ironic.client import Ironic
    from bakery.openstack.ironic.records import NodeThere, PortThere

TARGETS = {"on": "power on", "off": "power off", "reboot": "rebooting"}
POLL_SECONDS = 0.5
SHORT = 60
# Of a node, in this order, where it has them.
SHOWN = (
    "uuid", "name", "driver", "provision_state", "power_state", "maintenance", "last_error",
    "resource_class", "description", "owner", "lessee", "conductor_group",
)  # fmt: skip


@click.group("nodes", short_help="Nodes of an OpenStack Ironic: enroll, list, deploy.")
def command() -> None:
    """Enroll, list, deploy and control the nodes of an OpenStack Ironic."""


command.add_command(nodes_check.check)
command.add_command(nodes_enroll.enroll)
command.add_command(nodes_deploy.deploy)
command.add_command(nodes_deploy.undeploy)
command.add_command(nodes_deploy.apply_image_args)


@command.command("list")
@CLOUD
@output
def list_nodes(out: Output, cloud: str | None) -> None:
    """List the nodes you can see."""
    from bakery.openstack.ironic.client import Ironic

    found = sorted(Ironic.of_cloud(cloud).states(), key=lambda node: node.label)
    if found:
        headings = ("name", "uuid", "driver", "state", "power", "class", "note")
        out.text(table.text(headings, map(_cells, found), whole=("name", "uuid")))
    else:
        out.print("no nodes that you can see")
    out.document([_document(node) for node in found])


@command.command(short_help="Show a node with its traits and ports.")
@click.argument("node")
@CLOUD
@output
def show(out: Output, node: str, cloud: str | None) -> None:
    """Show the properties, traits and ports of NODE, a name or UUID. Passwords are masked."""
    from bakery.openstack.ironic.client import Ironic

    ironic = Ironic.of_cloud(cloud)
    found = ironic.get(node)
    ports = sorted(ironic.ports_on(found), key=lambda port: port.address)
    for line in _lines(found, ports):
        out.print(line)
    out.document(_document(found) | {"ports": [_masked(port.fields) for port in ports]})


@command.command(short_help="Power a node on or off, or reboot it.")
@click.argument("node")
@click.argument("target", type=click.Choice(list(TARGETS)))
@CLOUD
@click.option(
    "--timeout", type=Seconds(86400), default=120.0, metavar="SECONDS",
    help="How long to wait for it.",
)  # fmt: skip
@output
def power(out: Output, node: str, target: str, cloud: str | None, timeout: float) -> None:
    """Power NODE on or off, or reboot it, and wait until it is done."""
    from bakery.openstack.ironic.client import Ironic

    ironic = Ironic.of_cloud(cloud)
    found = ironic.get(node)
    with out.report.step(found.label, TARGETS[target]):
        ironic.power(found.uuid, TARGETS[target])
        found = _switched(ironic, found, target, time.monotonic() + timeout)
    out.print(f"{found.label}: {found.fields.get('power_state')}")
    out.document(_document(found))


@command.command("boot-device", short_help="Set what a node boots from.")
@click.argument("node")
@click.argument("device")
@CLOUD
@click.option("--persistent", is_flag=True, help="Every time, not just the next.")
@output
def boot_device(
    out: Output, node: str, device: str, cloud: str | None, *, persistent: bool
) -> None:
    """Have NODE boot from DEVICE (pxe, disk, cdrom …)."""
    from bakery.openstack.ironic.client import Ironic
    from bakery.openstack.ironic.problems import meant

    ironic = Ironic.of_cloud(cloud)
    found = ironic.get(node)
    known = ironic.boot_devices(found.uuid)
    if device not in known:
        raise BakeryError(f"{found.label} cannot boot from {device!r}", meant(device, known))
    ironic.set_boot_device(found.uuid, device, persistent=persistent)
    out.print(f"{found.label}: boots from {device}{' every time' if persistent else ' next time'}")
    out.document({"uuid": found.uuid, "boot_device": device, "persistent": persistent})


def _switched(ironic: "Ironic", node: "NodeThere", target: str, end: float) -> "NodeThere":
    """The node once it is as it was told to be."""
    wanted = "power off" if target == "off" else "power on"
    while True:
        found = ironic.get(node.uuid)
        if found.fields.get("target_power_state") is None:
            if found.fields.get("power_state") == wanted:
                return found
            why = found.fields.get("last_error") or "Ironic gives no reason"
            raise BakeryError(f"{node.label}: power {target} failed: {why}")
        if time.monotonic() >= end:
            raise BakeryError(f"{node.label}: power {target} timed out", "--timeout SECONDS")
        time.sleep(POLL_SECONDS)


def _cells(node: "NodeThere") -> tuple[str, ...]:
    fields = node.fields
    note = "maintenance" if fields.get("maintenance") else ""
    error = str(fields.get("last_error") or "")
    error = error if len(error) <= SHORT else error[:SHORT] + "…"
    power = str(fields.get("power_state") or "").removeprefix("power ")
    return (
        node.name,
        node.uuid,
        str(fields.get("driver") or ""),
        str(fields.get("provision_state") or ""),
        power,
        str(fields.get("resource_class") or ""),
        ", ".join(part for part in (note, error) if part),
    )


def _lines(node: "NodeThere", ports: list["PortThere"]) -> list[str]:
    fields = _masked(node.fields)
    lines = [f"{key}: {fields[key]}" for key in SHOWN if fields.get(key) not in (None, "", False)]
    lines += [
        f"{key}: {value}"
        for key, value in sorted(fields.items())
        if key.endswith("_interface") and value
    ]
    lines += [f"traits: {', '.join(sorted(node.traits))}"] if node.traits else []
    for key in ("properties", "driver_info", "instance_info", "extra"):
        inner = fields.get(key)
        if isinstance(inner, dict):
            lines += [f"{key}.{name}: {value}" for name, value in sorted(inner.items())]
    return lines + [f"port: {port.address} ({port.uuid})" for port in ports]


def _document(node: "NodeThere") -> dict[str, object]:
    """All of a node but links, and no passwords, whatever the cloud shows."""
    return {key: value for key, value in _masked(node.fields).items() if key != "links"}


def _masked(fields: object) -> dict[str, object]:
    from bakery.openstack.ironic.changes import MASK
    from bakery.openstack.ironic.checks import is_secret

    assert isinstance(fields, dict)
    return {
        key: MASK
        if is_secret(key) and isinstance(value, str)
        else _masked(value)
        if isinstance(value, dict)
        else value
        for key, value in fields.items()
    }
