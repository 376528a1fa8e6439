"""What is asked of Ironic where it shall choose nodes, against one that chooses at once."""

from collections.abc import Iterable
from typing import Any

import pytest

from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.openstack.ironic.allocations import POLL_SECONDS, AllocationRequest, allocated
from bakery.openstack.ironic.records import Allocation, NodeThere
from bakery.openstack.ironic.session import FAILED_TRIES, LOCKED


def node(uuid: str, **fields: object) -> NodeThere:
    """A node that Ironic may give away, but for these fields."""
    usual = {"provision_state": "available", "power_state": "power off", "resource_class": "c"}
    return NodeThere(uuid=uuid, fields=usual | fields, traits=("CUSTOM_A",))


class Chooser:
    """Gives each allocation its first free candidate, once it has given these `refusals`."""

    def __init__(self, *nodes: NodeThere, refusals: Iterable[str] = ()) -> None:
        self.all = {node.uuid: node for node in nodes}
        self.refusals = list(refusals)
        self.given: dict[str, Allocation] = {}
        self.deleted: list[str] = []
        self.asked: list[tuple[str, tuple[str, ...], list[str]]] = []

    def nodes(self) -> list[NodeThere]:
        return list(self.all.values())

    def get(self, uuid: str) -> NodeThere:
        return self.all[uuid]

    def allocation(self, name: str) -> Allocation | None:
        return self.given.get(name)

    def allocate(
        self, name: str, resource_class: str, traits: tuple[str, ...], candidates: list[str]
    ) -> None:
        self.asked.append((resource_class, traits, candidates))
        if self.refusals:
            why = self.refusals.pop(0)
            self.given[name] = Allocation(name=name, state="error", last_error=why)
            return
        taken = {one.node_uuid for one in self.given.values()}
        free = next(uuid for uuid in candidates if uuid not in taken)
        self.given[name] = Allocation(name=name, state="active", node_uuid=free)

    def delete_allocation(self, name: str) -> None:
        self.deleted.append(name)
        self.given.pop(name, None)


class Slow(Chooser):
    """Says `state` of each allocation for so many looks; then it is active, or gone."""

    def __init__(self, *nodes: NodeThere, looks: int, ends: bool = False) -> None:
        super().__init__(*nodes)
        self.looks = looks
        self.ends = ends

    def allocation(self, name: str) -> Allocation | None:
        found = super().allocation(name)
        if found is None:
            return None
        self.looks -= 1
        if self.looks < 0:
            return None if self.ends else found
        return Allocation(name=name, state="allocating")


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The pauses, of a clock that goes on by them alone."""
    made: list[float] = []

    def sleep(seconds):
        assert len(made) < 500, "this waits without end"
        made.append(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: sum(made))
    return made


def chosen(ironic: Any, request: AllocationRequest, usable: Any = bool) -> list[str]:
    return [node.uuid for node in allocated(ironic, request, usable, silent(), 60)]


def test_each_allocation_has_a_node_of_its_own_and_the_same_request_finds_them_again():
    ironic = Chooser(node("a"), node("b"), node("c"))
    request = AllocationRequest("web", "c", ("CUSTOM_A",), 2)
    assert chosen(ironic, request) == chosen(ironic, request) == ["a", "b"]
    assert sorted(ironic.given) == ["web-1", "web-2"]
    assert ironic.asked == [("c", ("CUSTOM_A",), ["a", "b", "c"])] * 2


@pytest.mark.parametrize(
    "fields",
    [
        {"provision_state": "active"},
        {"instance_uuid": "i"},
        {"power_state": None},
        {"resource_class": "d"},
    ],
)
def test_a_node_that_cannot_be_given_away_is_no_candidate(fields):
    ironic = Chooser(node("a", **fields), node("b"))
    assert chosen(ironic, AllocationRequest("web", "c")) == ["b"]
    assert ironic.asked == [("c", (), ["b"])]


def test_a_node_without_a_trait_or_that_cannot_take_the_image_is_no_candidate():
    ironic = Chooser(node("a"), node("b"))
    with pytest.raises(BakeryError, match="1 nodes of c with CUSTOM_B are wanted, but 0 are"):
        chosen(ironic, AllocationRequest("web", "c", ("CUSTOM_B",)))
    assert chosen(ironic, AllocationRequest("web", "c"), lambda one: one.uuid == "b") == ["b"]


def test_where_there_are_too_few_nothing_is_asked_for():
    ironic = Chooser(node("a"))
    with pytest.raises(BakeryError, match="2 nodes of c are wanted, but 1 are available"):
        chosen(ironic, AllocationRequest("web", "c", (), 2))
    assert ironic.given == {}


def test_an_allocation_that_a_locked_database_ended_is_asked_for_anew(pauses):
    ironic = Chooser(node("a"), refusals=[f"the database {LOCKED}"] * (FAILED_TRIES - 1))
    assert chosen(ironic, AllocationRequest("web", "c")) == ["a"]
    assert pauses == [POLL_SECONDS] * (FAILED_TRIES - 1)
    assert ironic.deleted == ["web-1"] * (FAILED_TRIES - 1)


def test_an_allocation_that_failed_before_is_asked_for_anew():
    ironic = Chooser(node("a"))
    ironic.given["web-1"] = Allocation(name="web-1", state="error", last_error="no")
    assert chosen(ironic, AllocationRequest("web", "c")) == ["a"]
    assert ironic.deleted == ["web-1"]


def test_ironic_is_waited_for_while_it_chooses(pauses):
    ironic = Slow(node("a"), node("b"), looks=5)
    assert chosen(ironic, AllocationRequest("web", "c", (), 2)) == ["a", "b"]
    assert pauses == [POLL_SECONDS] * 3


def test_an_allocation_that_is_gone_is_told():
    with pytest.raises(BakeryError, match="Ironic gives no node to web-1: it is gone"):
        chosen(Slow(node("a"), looks=2, ends=True), AllocationRequest("web", "c"))


def test_ironic_is_not_waited_for_without_end(pauses):
    ironic = Slow(node("a"), looks=1000)
    with pytest.raises(BakeryError, match="did not choose nodes in time") as caught:
        chosen(ironic, AllocationRequest("web", "c"))
    assert caught.value.hint == "--timeout SECONDS"
    assert sum(pauses) == 60
    assert ironic.given == {}


def test_an_interrupt_gives_back_what_was_taken():
    ironic = Chooser(node("a"))

    def interrupted(_uuid):
        raise KeyboardInterrupt

    ironic.allocation = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        chosen(ironic, AllocationRequest("web", "c"))
    assert ironic.given == {}


def test_the_nodes_are_told_by_name():
    events: list[Event] = []
    there = NodeThere(uuid="a", name="one", fields=node("a").fields, traits=("CUSTOM_A",))
    request = AllocationRequest("web", "c", ("CUSTOM_A",))
    ironic: Any = Chooser(there)
    allocated(ironic, request, bool, Report(events.append), 60)
    assert [event.text for event in events] == ["1 of c", "one"]


@pytest.mark.parametrize(
    ("why", "asked"), [("no node has it", 1), (f"the database {LOCKED}", FAILED_TRIES)]
)
def test_where_ironic_gives_no_node_its_reason_is_told_and_what_was_taken_is_free_again(why, asked):
    ironic = Chooser(node("a"), node("b"), refusals=[why] * 99)
    with pytest.raises(BakeryError, match=f"Ironic gives no node to web-1: {why}"):
        chosen(ironic, AllocationRequest("web", "c"))
    assert len(ironic.asked) == asked
    assert ironic.given == {}


def test_what_an_earlier_command_was_given_stays_where_this_one_gets_no_more():
    ironic = Chooser(node("a"), node("b"))
    assert chosen(ironic, AllocationRequest("web", "c")) == ["a"]
    ironic.refusals = ["no"]
    with pytest.raises(BakeryError, match="no node to web-2"):
        chosen(ironic, AllocationRequest("web", "c", (), 2))
    assert sorted(ironic.given) == ["web-1"]
