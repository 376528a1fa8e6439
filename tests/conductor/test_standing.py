"""What a node holds before a command starts: left alone, overwritten when agreed, or refused."""

from uuid import UUID, uuid4

import msgspec
import pytest

from bakery.bmc.access import IpmiAccess
from bakery.conductor import standing
from bakery.conductor.conductor import Conductor
from bakery.conductor.journal import Deployment, Journal, Machine, Record, Visit
from bakery.conductor.messages import NodeSpec, Request
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError
from bakery.host.report import silent
from tests.conductor import builds

ASKED = Wanted(build="k1" * 32, name="sample")
OTHERS = {
    "build": "k2" * 32,
    "root_device": "size=>= 100",
    "ephemeral_mib": 1,
    "swap_mib": 1,
    "config_drive": "00",
}


def node(number=1):
    access = IpmiAccess("127.0.0.1", 6230 + number, "admin", "secret")
    return NodeSpec(f"node-{number}", UUID(int=number), f"52:54:00:4c:00:0{number}", access, "/log")


def journalled(folder, spec, state="running", wanted=ASKED):
    record = Record(
        node=spec.uuid,
        name=spec.name,
        wanted=wanted,
        state=state,
        deployment=Deployment.fresh(),
        visits=(Visit("enroll", 0.0), Visit(state, 86400.0)),
    )
    Journal(folder, spec.uuid).write(record)
    return record


def look(folder, *nodes, power="on", again=False):
    return standing.look(nodes or (node(),), ASKED, folder, lambda _spec: power, again=again)


def test_a_node_that_runs_what_is_asked_is_left_alone(tmp_path):
    record = journalled(tmp_path, node())
    found = look(tmp_path)
    assert (found.todo, found.alone, found.losses) == ((), (record,), ())
    (result,) = found.results()
    assert (result.name, result.state, result.left_alone) == ("node-1", "running", True)


def test_again_has_it_written_and_tells_what_is_lost(tmp_path):
    record = journalled(tmp_path, node())
    found = look(tmp_path, again=True)
    assert [spec.replaces for spec in found.todo] == [record.deployment.disk]
    assert (found.alone, found.losses) == ((), (record,))


@pytest.mark.parametrize("field", OTHERS)
def test_whatever_else_is_on_its_disk_is_another_image(tmp_path, field):
    other = msgspec.structs.replace(ASKED, **{field: OTHERS[field]})
    record = journalled(tmp_path, node(), wanted=other)
    found = look(tmp_path)
    assert [spec.replaces for spec in found.todo] == [record.deployment.disk]
    assert (found.alone, found.losses) == ((), (record,))


@pytest.mark.parametrize("state", ["enroll", "writing", "rebooted", "failed"])
def test_one_that_is_under_way_or_failed_loses_nothing_and_is_deployed(tmp_path, state):
    journalled(tmp_path, node(), state, msgspec.structs.replace(ASKED, build="other"))
    assert look(tmp_path) == standing.Standing((node(),), (), ())


def test_a_node_without_a_journal_is_deployed_and_no_folder_is_made(tmp_path):
    assert look(tmp_path / "journals") == standing.Standing((node(),), (), ())
    assert not (tmp_path / "journals").exists()


def test_one_that_is_off_is_not_said_to_run(tmp_path):
    for number in (1, 2):
        journalled(tmp_path, node(number))
    with pytest.raises(BakeryError, match=r"node-1, node-2 .*the power is off") as caught:
        look(tmp_path, node(1), node(2), power="off")
    assert "--again" in caught.value.hint
    assert len(look(tmp_path, power="off", again=True).todo) == 1


def test_a_bmc_that_does_not_answer_is_told_with_its_node(tmp_path):
    journalled(tmp_path, node())

    def silence(_spec):
        raise BakeryError("the BMC does not answer")

    with pytest.raises(BakeryError, match="node-1: the BMC does not answer"):
        standing.look((node(),), ASKED, tmp_path, silence, again=False)


def test_a_loss_is_told_by_name_key_and_time(tmp_path):
    record = journalled(tmp_path, node())
    told = standing.loss(record, msgspec.structs.replace(ASKED, build="other"))
    assert told.startswith("node-1 runs sample (build k1k1k1k1k1k1) since 1970-01-0")
    other = standing.loss(record, msgspec.structs.replace(ASKED, swap_mib=1))
    assert "(build k1k1k1k1k1k1), deployed with other options, since 1970-01-0" in other


def conductor(tmp_path, *nodes):
    return Conductor(
        Request(
            nodes=nodes,
            build=str(builds.build(tmp_path / "build").directory),
            ramdisk=str(tmp_path),
            interface="lo",
            address="192.0.2.1/24",
            state=str(tmp_path / "state"),
        ),
        silent(),
    )


@pytest.mark.parametrize(
    "replaces", [None, uuid4()], ids=["not asked about", "another asked about"]
)
def test_a_conductor_overwrites_no_node_that_came_to_run_after_the_question(tmp_path, replaces):
    """The first node is not touched either: its journal is not begun."""
    second = msgspec.structs.replace(node(2), replaces=replaces)
    record = journalled(tmp_path / "state", second)
    with pytest.raises(BakeryError, match="node-2 was deployed by another command meanwhile"):
        conductor(tmp_path, node(1), second).work()
    assert Journal(tmp_path / "state", second.uuid).read() == record
    assert Journal(tmp_path / "state", node(1).uuid).read() is None


def test_a_conductor_deploys_what_was_agreed_to_be_lost(tmp_path):
    record = journalled(tmp_path / "state", node())
    agreed = msgspec.structs.replace(node(), replaces=record.deployment.disk)
    with pytest.raises(BakeryError, match="cannot be served"):  # 192.0.2.1 is not ours
        conductor(tmp_path, agreed).work()
    begun = Journal(tmp_path / "state", node().uuid).read()
    assert begun is not None and begun.state == "enroll"


def test_a_loss_names_the_disk_where_the_node_told_it(tmp_path):
    machine = Machine((), "", "ACME 9000", "D1", 480_103_981_056)
    record = msgspec.structs.replace(journalled(tmp_path, node()), machine=machine)
    assert standing.loss(record, ASKED).endswith(", on ACME 9000, serial D1, 480 GB")


def test_hints_of_the_node_itself_tell_what_is_asked(tmp_path):
    hinted = msgspec.structs.replace(node(), root_device="size=1")
    record = journalled(tmp_path, hinted, wanted=ASKED.on("size=1"))
    assert look(tmp_path, hinted).alone == (record,)
    assert look(tmp_path, node()).losses == (record,)


@pytest.mark.parametrize("power", ["on", "off"])
def test_a_real_machine_that_is_on_and_was_not_deployed_from_here_is_asked_about(tmp_path, power):
    found = standing.look(
        (node(),), ASKED, tmp_path, lambda _spec: power, again=False, is_real=True
    )
    assert found.todo == (node(),)
    assert found.strangers == ((node(),) if power == "on" else ())
    assert "node-1 is on" in standing.strangers_loss(node())


@pytest.mark.parametrize(
    ("state", "build", "asked"),
    [("failed", "k1", True), ("rebooted", "other", True), ("rebooted", "k1", False)],
)
def test_a_real_machine_that_may_run_what_nobody_saw_is_asked_about(tmp_path, state, build, asked):
    wanted = msgspec.structs.replace(ASKED, build=build) if build == "other" else ASKED
    journalled(tmp_path, node(), state, wanted)
    found = standing.look((node(),), ASKED, tmp_path, lambda _: "on", again=False, is_real=True)
    assert found.todo == (node(),) and bool(found.strangers) == asked


@pytest.mark.parametrize(
    ("sign", "until", "enough"),
    [
        ("written", "ssh", False), ("written", "any", False), ("ping", "ssh", False),
        ("written", "written", True), ("ping", "any", True), ("login", "ssh", True),
        ("", "ssh", True),
    ],
)  # fmt: skip
def test_a_node_that_was_seen_by_less_than_is_asked_for_is_not_said_to_run(
    tmp_path, sign, until, enough
):
    record = msgspec.structs.replace(journalled(tmp_path, node()), sign=sign)
    Journal(tmp_path, node().uuid).write(record)

    def looked():
        return standing.look((node(),), ASKED, tmp_path, lambda _: "on", again=False, until=until)

    if enough:
        assert looked().alone == (record,)
        return
    with pytest.raises(BakeryError, match="was not seen to run") as caught:
        looked()
    assert f"--until {sign}" in caught.value.hint
