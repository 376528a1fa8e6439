"""The bare metal service, as bakery uses it. Nothing else in the package talks to Ironic.

Bare Metal API v1 (https://docs.openstack.org/api-ref/baremetal/), asked through openstacksdk's
adapter: it knows endpoint, region and token, and logs in anew when the token has expired. A node
that is locked (409) and a service that is busy (503) are asked again, with growing pauses; so is
whatever came without an answer. A node or a port that was created and not confirmed is looked for.
"""

import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from bakery.cloud.connection import Answer, CloudError, connect, explained, json_of, plain
from bakery.fleet.fields import INTERFACES, NODE, SUFFIX
from bakery.fleet.plan import Patch
from bakery.fleet.problems import nearest
from bakery.fleet.records import Allocation, Driver, NodeThere, PortThere
from bakery.pool import Pool

if TYPE_CHECKING:
    import requests
    from openstack.connection import Connection

NEWEST = 104
"""The newest version of the API, 1.N, that is asked for."""
OLDEST = 37
"""Traits came with it, in 2018."""
INVENTORY_SINCE = 81
PAGE = 1000
PAGES_LIMIT = 200
ANSWER_LIMIT_BYTES = 256 << 20
TIMEOUT_SECONDS = (30, 120)
PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 10.0
BUSY = frozenset({409, 429, 502, 503, 504})
FAILED_TRIES = 5
"""So often is asked what ended in HTTP 500, and what nobody answered."""
LOCKED = "is locked"
EXISTS = "already exists"
SCOPE = "requires a scope of"
"""Where a project asks for what takes the whole system, oslo.policy ends in an HTTP 500."""
# Of a node: what lists of nodes show, and what provisioning looks at.
STATE_FIELDS = (
    "uuid", "name", "driver", "resource_class", "provision_state", "power_state", "maintenance",
    "last_error", "inspection_finished_at",
)  # fmt: skip
NOTHING: Mapping[str, str] = MappingProxyType({})


class Ironic:
    """The nodes of one cloud. Every method raises CloudError for what goes wrong."""

    def __init__(self, connection: "Connection") -> None:
        from openstack.utils import maximum_supported_microversion

        self._stopped = threading.Event()
        self._writer = threading.Lock()
        self._one_by_one = False
        self._session = connection.session
        try:
            self._adapter = connection.baremetal
            newest = maximum_supported_microversion(self._adapter, f"1.{NEWEST}")
        except Exception as error:
            raise explained(error, "cannot reach the bare metal service") from error
        self.minor = int((newest or "1.1").partition(".")[2])
        if self.minor < OLDEST:
            raise CloudError(
                f"the bare metal service speaks no version of its API after 1.{self.minor}",
                f"bakery needs 1.{OLDEST} (OpenStack Queens) or later",
            )

    @contextmanager
    def at_once(self, workers: int) -> Iterator[Pool]:
        """Threads that speak to it side by side.

        Where the block does not end well, nothing more is asked and nobody waits for a turn; the
        error or interrupt goes on when no request is under way any more.
        """
        with Pool(max_workers=workers) as pool:
            try:
                yield pool
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                self._stopped.clear()
                raise

    @classmethod
    def of_cloud(cls, cloud: str | None) -> "Ironic":
        """Log in to `cloud`, None being what the environment names."""
        return cls(connect(cloud))

    def nodes(self) -> list[NodeThere]:
        """Every node that we can see, with all that a file can say of it."""
        return [_node(entry) for entry in self._nodes("nodes/detail")]

    def states(self) -> list[NodeThere]:
        """Every node that we can see, with its states alone."""
        fields = {"fields": ",".join(STATE_FIELDS)}
        return [_node(entry) for entry in self._nodes("nodes", fields)]

    def ports(self) -> list[PortThere]:
        """Every port that we can see."""
        return [_port(entry) for entry in self._list("ports/detail", {})]

    def ports_of(self, addresses: Iterable[str]) -> list[PortThere]:
        """The ports of these MACs."""
        found = (self._list("ports/detail", {"address": address}) for address in addresses)
        return [_port(entry) for page in found for entry in page]

    def ports_on(self, node: NodeThere) -> list[PortThere]:
        """The ports of a node."""
        return [_port(entry) for entry in self._list("ports/detail", {"node": node.uuid})]

    def drivers(self, used: Iterable[str]) -> dict[str, Driver] | None:
        """The drivers that the cloud has; of those `used` also the driver_info they know.

        None where we may not ask: that takes a role in the whole system.
        """
        try:
            answer = self._ask("GET", "/drivers", "listing drivers", params={"detail": "true"})
        except CloudError as error:
            if error.status == 403 or SCOPE in _words(error):
                return None
            raise
        wanted = set(used)
        return {
            name: _driver(name, entry, self._driver_info(name) if name in wanted else {})
            for entry in _entries(answer, "drivers")
            if (name := str(entry.get("name", "")))
        }

    def find(self, ident: str) -> NodeThere | None:
        """The node of that name or uuid; None where there is none that we may see."""
        answer = self._ask("GET", _path(ident), f"looking at the node {ident}", missing=True)
        return None if answer is None else _node(_object(answer))

    def get(self, ident: str) -> NodeThere:
        """The node of that name or uuid; where there is none, names that are near are told."""
        found = self.find(ident)
        if found is None:
            known = {node.label for node in self.states()}
            near = nearest(ident, known)
            hint = (
                f"did you mean {near!r}?" if near else "`bakery nodes list` tells which there are"
            )
            raise CloudError(f"no node is called {ident!r}", hint, 404)
        return found

    def create_node(self, body: Mapping[str, object]) -> tuple[NodeThere, bool]:
        """A new node, and whether it is new: one of its name or uuid may be there already."""
        ident = str(body.get("name") or body["uuid"])
        what = f"creating the node {ident}"
        answer = self._create("/nodes", body, what, lambda: self.find(ident))
        if isinstance(answer, NodeThere):
            return answer, False
        return _node(_object(answer)), True

    def patch_node(self, node: str, patch: Patch) -> None:
        """Change a node."""
        self._ask("PATCH", _path(node), f"updating the node {node}", json=patch)

    def set_traits(self, node: str, traits: Iterable[str]) -> None:
        """These and no others are the node's traits."""
        what = f"setting the traits of the node {node}"
        self._ask("PUT", _path(node, "traits"), what, json={"traits": list(traits)})

    def create_port(self, node: str, address: str, fields: Mapping[str, object]) -> None:
        """A new port of a node, which may have it already; refused where it is another's."""

        def found() -> PortThere | None:
            return next(iter(self.ports_of([address])), None)

        body = {**fields, "address": address, "node_uuid": node}
        what = f"creating the port {address}"
        answer = self._create("/ports", body, what, found)
        if isinstance(answer, PortThere) and answer.node_uuid != node:
            owner = self.find(answer.node_uuid)
            label = repr(owner.label) if owner else answer.node_uuid
            raise CloudError(f"{address} is a port of another node of the cloud: {label}")

    def patch_port(self, port: str, patch: Patch) -> None:
        """Change a port."""
        path = f"/ports/{quote(port, safe='')}"
        self._ask("PATCH", path, f"updating the port {port}", json=patch)

    def provision(self, node: str, verb: str, config_drive: str = "") -> None:
        """Send a node on its way to another provision state (`manage`, `active`, `deleted` …).

        `config_drive` goes with `active`: an image, gzipped and in base64.
        """
        body = {"target": verb} | ({"configdrive": config_drive} if config_drive else {})
        self._ask("PUT", _path(node, "states/provision"), f"{verb} of the node {node}", json=body)

    def faults(self, node: str, interfaces: Iterable[str]) -> dict[str, str]:
        """What Ironic finds lacking for a deploy: interface → reason, of these interfaces."""
        answer = _object(self._ask("GET", _path(node, "validate"), f"validating the node {node}"))
        told = {name: answer.get(name) for name in interfaces}
        return {
            name: plain(str(found.get("reason")))
            for name, found in told.items()
            if isinstance(found, dict) and found.get("result") is False
        }

    def disks(self, node: str) -> list[dict[str, object]] | None:
        """A node's disks as its inspection found them; None where there was none.

        Each as Ironic's agent tells it: `name`, `size` in bytes, `rotational`, `model`, `vendor`,
        `serial`, `wwn`, `hctl` … (ironic_python_agent, hardware.BlockDevice).
        """
        if self.minor < INVENTORY_SINCE:
            return None
        what = f"looking at the inventory of the node {node}"
        answer = self._ask("GET", _path(node, "inventory"), what, missing=True)
        inventory = None if answer is None else _object(answer).get("inventory")
        return _entries(inventory, "disks") if isinstance(inventory, dict) else None

    def allocation(self, name: str) -> Allocation | None:
        """The allocation of that name; None where there is none that we may see."""
        path = f"/allocations/{quote(name, safe='')}"
        answer = self._ask("GET", path, f"looking at the allocation {name}", missing=True)
        return None if answer is None else _allocation(_object(answer))

    def allocate(
        self, name: str, resource_class: str, traits: Iterable[str], candidates: Iterable[str]
    ) -> None:
        """Have a node chosen among candidates (uuids), where that is not under way already."""
        body = {
            "name": name,
            "resource_class": resource_class,
            "traits": list(traits),
            "candidate_nodes": list(candidates),
        }
        what = f"creating the allocation {name}"
        self._create("/allocations", body, what, lambda: self.allocation(name))

    def delete_allocation(self, name: str) -> None:
        """Give a node back that nothing was deployed to."""
        path = f"/allocations/{quote(name, safe='')}"
        self._ask("DELETE", path, f"deleting the allocation {name}", missing=True)

    def power(self, node: str, target: str) -> None:
        """Have a node switched: `power on`, `power off` or `rebooting`."""
        what = f"{target} of the node {node}"
        self._ask("PUT", _path(node, "states/power"), what, json={"target": target})

    def boot_devices(self, node: str) -> list[str]:
        """What a node can be told to boot from."""
        path = _path(node, "management/boot_device/supported")
        answer = _object(self._ask("GET", path, f"asking what the node {node} boots from"))
        found = answer.get("supported_boot_devices")
        return [str(device) for device in found] if isinstance(found, list) else []

    def set_boot_device(self, node: str, device: str, *, persistent: bool) -> None:
        """What a node boots from the next time, or each time."""
        body = {"boot_device": device, "persistent": persistent}
        what = f"setting what the node {node} boots from"
        self._ask("PUT", _path(node, "management/boot_device"), what, json=body)

    def _driver_info(self, driver: str) -> object:
        """What a driver knows of driver_info, and what each is for; nothing where it cannot say."""
        path = f"/drivers/{quote(driver, safe='')}/properties"
        return self._ask("GET", path, f"asking the driver {driver}", missing=True) or {}

    def _nodes(self, path: str, query: Mapping[str, str] = NOTHING) -> list[dict[str, object]]:
        """Those too that are part of another node."""
        children = self.minor >= NODE["parent_node"].since
        return self._list(path, {**query, "include_children": "true"} if children else query)

    def _list(self, path: str, query: Mapping[str, str]) -> list[dict[str, object]]:
        """All pages of a listing, within bounds."""
        key = path.partition("/")[0]
        what = f"listing {key}"
        found: list[dict[str, object]] = []
        more = {**query, "limit": str(PAGE)}
        for _ in range(PAGES_LIMIT):
            page = _object(self._ask("GET", f"/{path}", what, params=more))
            entries = _entries(page, key)
            found += entries
            if not page.get("next") or not entries:
                return found
            more["marker"] = str(entries[-1].get("uuid"))
        raise CloudError(f"{what}: the cloud lists them without end")

    def _create(self, path: str, body: object, what: str, find: Any) -> object:  # noqa: ANN401
        """The answer of a POST, or what `find` then finds: it was there, or no answer came."""
        for turn in self._tries():
            try:
                return self._request("POST", path, what, json=body)
            except CloudError as error:
                is_there = EXISTS in _words(error)
                if not is_there and not _passing(error, turn):
                    raise
                found = find()
                if found is not None:
                    return found
                if is_there:  # and we may not see it
                    raise
        raise AssertionError

    def _ask(self, method: str, path: str, what: str, *, missing: bool = False, **more: Any) -> Any:  # noqa: ANN401
        """The JSON of an answer, asked for until it comes; None where `missing` allows a 404."""
        for turn in self._tries():
            try:
                return self._request(method, path, what, **more)
            except CloudError as error:
                if missing and error.status == 404:
                    return None
                if not _passing(error, turn):
                    raise
        raise AssertionError

    def _tries(self) -> Iterator["_Turn"]:
        """Turns with growing pauses between them; each knows whether it is the last one."""
        pause, end, number = FIRST_PAUSE_SECONDS, time.monotonic() + PATIENCE_SECONDS, 0
        while True:
            number += 1
            yield _Turn(number, over=time.monotonic() >= end)
            if self._stopped.wait(pause * random.uniform(0.5, 1.5)):  # noqa: S311 - no secret
                raise CloudError("stopped")
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _request(self, method: str, path: str, what: str, **more: Any) -> Any:  # noqa: ANN401
        """One request and the JSON of its answer."""
        if self._stopped.is_set():
            raise CloudError(f"{what}: stopped")
        more.setdefault("timeout", self._session.timeout or TIMEOUT_SECONDS)
        more |= {"microversion": f"1.{self.minor}", "connect_retries": 0, "status_code_retries": 0}
        # Writers that found a database of one file locked are quicker one after another.
        alone = self._writer if self._one_by_one and method != "GET" else nullcontext()
        try:
            with alone:
                answer = self._adapter.request(path, method, raise_exc=False, **more)
                content = _content(answer, what)
        except CloudError:
            raise
        except Exception as error:
            raise explained(error, what) from error
        if answer.status_code >= 300:
            refused = Answer(answer.status_code, _said(content))
            self._one_by_one |= refused.status == 500 and LOCKED in refused.text
            raise explained(refused, what) from refused
        return json_of(content, what, "bare metal service")


class _Turn(msgspec.Struct, frozen=True):
    """One of several tries; `over` where patience is at its end."""

    number: int
    over: bool


def _passing(error: CloudError, turn: _Turn) -> bool:
    """Whether a failure may pass by itself, and it is worth to try once more.

    A 409 is a lock where it says so or says nothing; what else it says will stay so. A database of
    one file answers 500 and says that it is locked.
    """
    if LOCKED in _words(error):
        return not turn.over
    if SCOPE in _words(error) or (error.status == 409 and _words(error)):
        return False
    if error.status in BUSY:
        return not turn.over
    return error.status in (None, 500) and not turn.over and turn.number < FAILED_TRIES


def _words(error: CloudError) -> str:
    """What the service itself said."""
    return error.__cause__.text if isinstance(error.__cause__, Answer) else ""


def _path(ident: str, more: str = "") -> str:
    return f"/nodes/{quote(ident, safe='')}" + (f"/{more}" if more else "")


def _content(answer: "requests.Response", what: str) -> bytes:
    content = answer.content or b""
    if len(content) > ANSWER_LIMIT_BYTES:
        raise CloudError(f"{what}: the answer is larger than {ANSWER_LIMIT_BYTES} bytes")
    return content


def _said(content: bytes) -> str:
    """The words of a refusal. Ironic wraps them in JSON, and that once more as a text."""
    said: object = content
    for _ in range(3):
        if isinstance(said, bytes | str):
            try:
                said = msgspec.json.decode(said)
            except (msgspec.DecodeError, RecursionError):
                break
        if isinstance(said, dict):
            keys = ("error_message", "faultstring", "description", "title")
            said = next((said[key] for key in keys if said.get(key)), "")
    return plain(said.decode("utf-8", "replace") if isinstance(said, bytes) else f"{said}")


def _object(answer: object) -> dict[str, object]:
    if not isinstance(answer, dict):
        raise CloudError("the bare metal service answered in a way unknown to bakery")
    return answer


def _entries(page: object, key: str) -> list[dict[str, object]]:
    found = _object(page).get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _node(entry: dict[str, object]) -> NodeThere:
    traits = entry.get("traits")
    return NodeThere(
        uuid=str(entry.get("uuid", "")),
        name=str(entry.get("name") or ""),
        fields=entry,
        traits=tuple(str(trait) for trait in traits) if isinstance(traits, list) else (),
    )


def _port(entry: dict[str, object]) -> PortThere:
    return PortThere(
        uuid=str(entry.get("uuid", "")),
        address=str(entry.get("address", "")),
        node_uuid=str(entry.get("node_uuid", "")),
        fields=entry,
    )


def _allocation(entry: dict[str, object]) -> Allocation:
    return Allocation(
        name=str(entry.get("name") or ""),
        state=str(entry.get("state") or ""),
        node_uuid=str(entry.get("node_uuid") or ""),
        last_error=plain(str(entry.get("last_error") or "")),
    )


def _driver(name: str, entry: Mapping[str, object], info: object) -> Driver:
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
