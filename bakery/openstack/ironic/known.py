"""A file's nodes held against what a cloud can do: drivers, interfaces, the version of its API."""

from collections.abc import Iterable, Mapping, Sequence

from bakery.openstack.ironic.fields import INTERFACES, NODE, PORT, SUFFIX, TRAITS_SINCE
from bakery.openstack.ironic.problems import Problems, Spot, meant, nearest
from bakery.openstack.ironic.records import Driver, Node

ALMOST = 0.8
"""A key of driver_info so near to a known one is a slip; others may be a driver's own."""


def versions(problems: Problems, nodes: Sequence[Node], minor: int) -> None:
    """Say which fields are too new for the cloud, that speaks version 1.`minor` at most."""
    for node in nodes:
        spot = Spot(problems, node.label)
        needed = [(key, NODE[key].since) for key in (*node.fields, *node.mappings)]
        needed += [("traits", TRAITS_SINCE)] if node.traits is not None else []
        _too_new(spot, needed, minor)
        for index, port in enumerate(node.ports):
            here = spot.at("ports").at(index)
            _too_new(here, [(key, PORT[key].since) for key in port.fields], minor)


def drivers(problems: Problems, nodes: Sequence[Node], there: Mapping[str, Driver]) -> None:
    """Say which drivers, interfaces and details of them the cloud does not know."""
    for node in nodes:
        spot = Spot(problems, node.label)
        driver = there.get(node.driver)
        if driver is not None:
            _interfaces(spot, node, driver)
            _details(spot.at("driver_info"), node, driver)
        elif node.driver:
            near = meant(node.driver, there)
            spot.at("driver").wrong(f"the cloud has no driver {node.driver!r}; {near}")


def _details(spot: Spot, node: Node, driver: Driver) -> None:
    for key in node.mappings.get("driver_info", {}):
        near = nearest(key, driver.info, cutoff=ALMOST) if key not in driver.info else ""
        if near:
            spot.at(key).wrong(f"the driver {driver.name} does not know it; did you mean {near!r}?")


def _interfaces(spot: Spot, node: Node, driver: Driver) -> None:
    for kind in INTERFACES:
        wanted = node.fields.get(kind + SUFFIX)
        enabled = driver.interfaces.get(kind, ())
        if wanted is not None and wanted not in enabled:
            spot.at(kind + SUFFIX).wrong(
                f"{wanted!r} is not enabled for the driver {driver.name}; {meant(wanted, enabled)}"
            )


def _too_new(spot: Spot, needed: Iterable[tuple[str, int]], minor: int) -> None:
    for key, since in needed:
        if since > minor:
            spot.at(key).wrong(f"needs version 1.{since} of the API; the cloud speaks 1.{minor}")
