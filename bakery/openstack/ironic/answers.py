"""What Ironic answers, read into records. Source: Bare Metal API v1, the responses' parameters."""

from collections.abc import Mapping

from bakery.openstack.connection import CloudError, plain
from bakery.openstack.ironic.fields import INTERFACES, SUFFIX
from bakery.openstack.ironic.records import Allocation, Driver, NodeThere, PortThere


def mapping(answer: object) -> dict[str, object]:
    """An answer that is a JSON object; CloudError where it is another thing."""
    if not isinstance(answer, dict):
        raise CloudError("the bare metal service gave an answer that bakery does not understand")
    return answer


def entries(page: object, key: str) -> list[dict[str, object]]:
    """The objects of the list under `key` of an answer; those that are none are left out."""
    found = mapping(page).get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def node(entry: dict[str, object]) -> NodeThere:
    """A node out of its JSON."""
    traits = entry.get("traits")
    return NodeThere(
        uuid=str(entry.get("uuid", "")),
        name=str(entry.get("name") or ""),
        fields=entry,
        traits=tuple(str(trait) for trait in traits) if isinstance(traits, list) else (),
    )


def port(entry: dict[str, object]) -> PortThere:
    """A port out of its JSON."""
    return PortThere(
        uuid=str(entry.get("uuid", "")),
        address=str(entry.get("address", "")),
        node_uuid=str(entry.get("node_uuid", "")),
        fields=entry,
    )


def allocation(entry: dict[str, object]) -> Allocation:
    """An allocation out of its JSON."""
    return Allocation(
        name=str(entry.get("name") or ""),
        state=str(entry.get("state") or ""),
        node_uuid=str(entry.get("node_uuid") or ""),
        last_error=plain(str(entry.get("last_error") or "")),
    )


def driver(name: str, entry: Mapping[str, object], info: object) -> Driver:
    """A driver out of its entry in the list, and of its properties."""
    enabled = {kind: entry.get(f"enabled_{kind}{SUFFIX}s") for kind in INTERFACES}
    return Driver(
        name,
        {
            kind: tuple(str(one) for one in found)
            for kind, found in enabled.items()
            if isinstance(found, list)
        },
        frozenset(map(str, info)) if isinstance(info, dict) else frozenset(),
    )
