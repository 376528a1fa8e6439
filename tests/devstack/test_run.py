import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import click
import msgspec
import pytest
from click.testing import CliRunner

from bakery.cli import devstack as cli
from bakery.cli.main import cli as whole
from bakery.devstack import run, runbook, verdicts
from bakery.devstack.journal import Journal, Record, StepRecord
from bakery.devstack.steps import Answer, Command, Seen, Step
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build
from tests.conftest import BAKERY
from tests.devstack.builds import a_build, put
from tests.openstack.ironic.test_params import BLUEPRINT, read_by_the_client


def sh(script, folder="", **fields):
    return Command(("sh", "-c", script), str(folder), **fields)


def a_step(tmp_path, name="one", script="touch one", look="test -e one", **fields):
    return Step(
        name=name,
        title=f"the step {name}",
        look=(sh(look, tmp_path),),
        judge=verdicts.ended_well,
        act=(sh(script, tmp_path),),
        **fields,
    )


def run_steps(tmp_path, *steps):
    said: list[str] = []
    journal = Journal(tmp_path / "journal.json")
    runner = run.Runner(journal, tmp_path / "log", said.append, poll_seconds=0.01)
    runner.run(steps)
    return said


def states(tmp_path):
    return {
        name: one.state for name, one in Journal(tmp_path / "journal.json").read().steps.items()
    }


def test_a_step_is_shown_before_it_runs_and_not_done_twice(tmp_path):
    step = a_step(tmp_path, script="echo out; echo x >> count; touch one")
    said = run_steps(tmp_path, step)
    assert said[0].splitlines()[0] == "1/1 one: the step one"
    assert said[0].splitlines()[1:] == [
        f"  look: cd {tmp_path} && sh -c 'test -e one'",
        f"  act:  cd {tmp_path} && sh -c 'echo out; echo x >> count; touch one'",
    ]
    assert said[1:] == ["one: done"]
    assert run_steps(tmp_path, step)[-1] == "one: done"
    assert (tmp_path / "count").read_text() == "x\n"
    assert (tmp_path / "log").read_text().endswith("\nout\n")
    assert states(tmp_path) == {"one": "done"}


def test_who_follows_the_log_sees_each_piece_at_once(tmp_path):
    script = "echo out; cat log > seen; touch one"
    run_steps(tmp_path, a_step(tmp_path, script=script))
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith(f"$ cd {tmp_path} && sh -c ")
    (tmp_path / "one").unlink()
    run_steps(tmp_path, a_step(tmp_path, script="touch one"))
    assert (tmp_path / "log").read_text().startswith(seen)


def test_a_folder_that_is_not_there_is_told_with_the_option(tmp_path):
    step = a_step(tmp_path)
    step = msgspec.structs.replace(step, look=(sh("true", tmp_path / "none"),))
    with pytest.raises(BakeryError, match="none is not a folder") as refused:
        run_steps(tmp_path, step)
    assert "--devstack" in refused.value.hint


def test_each_step_has_its_number_and_its_reason(tmp_path):
    steps = [a_step(tmp_path, name, f"touch {name}", f"test -e {name}") for name in ("a", "b")]
    steps.append(Step(name="c", title="C", judge=lambda _: Seen("done", "why")))
    said = run_steps(tmp_path, *steps)
    assert [text.splitlines()[0] for text in said] == [
        *("1/3 a: the step a", "a: done", "2/3 b: the step b", "b: done"),
        *("3/3 c: C", "c: done (why)"),
    ]


def test_an_error_of_its_own_keeps_its_hint(tmp_path):
    use = Command(("true", "{address}"), needs=("address",))
    step = Step(name="two", title="", look=(use,), judge=verdicts.ended_well)
    with pytest.raises(BakeryError) as refused:
        run_steps(tmp_path, step)
    assert refused.value.hint == "an earlier step provides it"
    failing = a_step(tmp_path, script="exit 3")
    with pytest.raises(BakeryError) as refused:
        run_steps(tmp_path, failing)
    assert str(tmp_path / "log") in refused.value.hint


def test_what_is_open_is_looked_at_once_more_only_for_as_long_as_it_is_given(tmp_path):
    looks = []

    def judge(_answers):
        looks.append(1)
        return Seen("open" if len(looks) < 4 else "done")

    step = msgspec.structs.replace(a_step(tmp_path), judge=judge)
    with pytest.raises(BakeryError, match="its result does not show"):
        run_steps(tmp_path, step)
    assert len(looks) == 2
    looks.clear()
    run_steps(tmp_path, msgspec.structs.replace(step, name="b", wait_seconds=20))
    assert len(looks) == 4


def test_what_was_undone_since_is_done_again(tmp_path):
    step = a_step(tmp_path)
    run_steps(tmp_path, step)
    (tmp_path / "one").unlink()
    run_steps(tmp_path, step)
    assert (tmp_path / "one").exists()


def test_an_act_that_failed_stops_the_run_and_the_next_goes_on_behind_an_undo(tmp_path):
    first = a_step(tmp_path)
    second = a_step(
        *(tmp_path, "two", "test -e clean && touch two", "test -e two"),
        undo=(sh("touch clean", tmp_path),),
    )
    third = a_step(tmp_path, "three", "touch three", "test -e three")
    with pytest.raises(BakeryError, match="step two: ") as caught:
        run_steps(tmp_path, first, second, third)
    assert "run the same command again" in caught.value.hint
    assert states(tmp_path) == {"one": "done", "two": "begun"}
    assert not (tmp_path / "three").exists()
    run_steps(tmp_path, first, second, third)
    assert states(tmp_path) == {"one": "done", "two": "done", "three": "done"}


def test_what_would_be_costly_to_do_again_is_not_done_again_unasked(tmp_path):
    step = a_step(tmp_path, undo=(sh("touch undone", tmp_path),))
    run_steps(tmp_path, step)
    (tmp_path / "one").unlink()
    with pytest.raises(BakeryError, match="done before") as caught:
        run_steps(tmp_path, step)
    assert "rm " in caught.value.hint
    assert not (tmp_path / "undone").exists()


def test_a_begun_step_of_other_commands_is_another_step(tmp_path):
    step = a_step(tmp_path, undo=(sh("touch undone", tmp_path),))
    Journal(tmp_path / "journal.json").note(a_step(tmp_path, script="other"), "begun")
    run_steps(tmp_path, step)
    assert not (tmp_path / "undone").exists()


def test_a_killed_run_leaves_a_journal_that_says_begun(tmp_path):
    program = f"""
from pathlib import Path
from tests.devstack.test_run import a_step, run_steps
from pathlib import Path
folder = Path({str(tmp_path)!r})
run_steps(folder, a_step(folder, script="touch started; sleep 60"))
"""
    process = subprocess.Popen([BAKERY.with_name("python"), "-c", program], cwd=Path.cwd())
    deadline = time.monotonic() + 20
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert states(tmp_path) == {"one": "begun"}
    run_steps(tmp_path, a_step(tmp_path))
    assert states(tmp_path) == {"one": "done"}


def test_an_act_that_has_not_ended_is_waited_for(tmp_path):
    later = "(sleep 0.3; touch one) >/dev/null 2>&1 &"
    run_steps(tmp_path, a_step(tmp_path, script=later, wait_seconds=20))
    with pytest.raises(BakeryError, match="its result does not show"):
        run_steps(tmp_path, a_step(tmp_path, "x", "true", "false", wait_seconds=0.05))


def test_what_is_busy_is_waited_for_and_not_begun_again(tmp_path):
    def judge(answers):
        return Seen("done" if (tmp_path / "ready").exists() else "busy", "BUILD")

    step = a_step(tmp_path, script="touch begun", wait_seconds=20)
    step = msgspec.structs.replace(step, judge=judge, look=(sh("touch ready", tmp_path),))
    run_steps(tmp_path, step)
    assert not (tmp_path / "begun").exists()


def test_what_failed_ends_the_run_with_its_reason(tmp_path):
    step = msgspec.structs.replace(
        a_step(tmp_path), judge=lambda _: Seen("failed", "Nova says: no valid host")
    )
    with pytest.raises(BakeryError, match="no valid host"):
        run_steps(tmp_path, step)
    assert states(tmp_path) == {}


def test_what_one_step_learns_the_next_can_use(tmp_path):
    first = msgspec.structs.replace(
        a_step(tmp_path), judge=lambda _: Seen("done", "", {"address": "10.1.0.5"})
    )
    use = Command(("sh", "-c", "test {address} = 10.1.0.5"), needs=("address",))
    second = Step(name="two", title="", look=(use,), judge=verdicts.ended_well)
    run_steps(tmp_path, first, second)
    with pytest.raises(BakeryError, match="address is not known"):
        run_steps(tmp_path, second)


def test_a_step_that_is_left_out_says_why(tmp_path):
    (said,) = run_steps(tmp_path, a_step(tmp_path, skip="nothing to do"))
    assert said.endswith("left out: nothing to do")
    assert not (tmp_path / "one").exists()


def test_a_program_that_is_not_there_has_done_nothing():
    found = run.look(Command(("no-such-program",)), {})
    assert (found.returncode, "no-such-program" in found.text) == (127, True)
    assert run.look(sh("sleep 5", seconds=0.1), {}).returncode != 0
    assert run.look(sh("echo {a}; exit 4", needs=("a",)), {"a": "b"}) == Answer(4, "b\n")


def test_two_runs_do_not_share_a_journal(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    with journal.held(), pytest.raises(BakeryError, match="another run"), journal.held():
        pass
    with journal.held():
        pass


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"version": 2}', b'{"steps": {"a": 1}}'])
def test_what_is_no_journal_is_refused(text, tmp_path):
    path = tmp_path / "journal.json"
    path.write_bytes(text)
    with pytest.raises(BakeryError, match=r"journal\.json"):
        Journal(path).read()


def test_a_journal_is_its_owners_alone_and_whole(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    journal.note(a_step(tmp_path), "begun")
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert isinstance(journal.read(), Record)
    assert isinstance(journal.entry(a_step(tmp_path)), StepRecord)
    assert [one.name for one in tmp_path.iterdir()] == ["journal.json"]


def seen(judge, value, returncode=0):
    return judge([Answer(returncode, json.dumps(value))])


@pytest.mark.parametrize(
    ("value", "state", "address"),
    [
        (
            {"status": "ACTIVE", "addresses": {"private": ["fd00::1", "10.1.0.5"]}},
            "done",
            "10.1.0.5",
        ),
        ({"status": "ACTIVE", "addresses": "private=fd00::1, 10.1.0.6"}, "done", "10.1.0.6"),
        ({"status": "ACTIVE", "addresses": {}}, "failed", None),
        ({"status": "BUILD"}, "busy", None),
        ({"status": "ERROR", "fault": {"message": "no valid host"}}, "failed", None),
        ([], "open", None),
    ],
)
def test_a_server_is_read(value, state, address):
    found = seen(verdicts.server_active, value)
    assert (found.state, found.learned.get("address")) == (state, address)


def test_a_server_that_is_not_there_is_to_be_made():
    assert seen(verdicts.server_active, "No server", returncode=1).state == "open"
    assert verdicts.server_active([Answer(0, "no json")]).state == "open"


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ({"status": "active", "properties": {"bakery_key": "k"}}, "done"),
        ({"status": "active", "bakery_key": "k"}, "done"),
        ({"status": "queued", "bakery_key": "k"}, "open"),
        ({"status": "active", "properties": {"bakery_key": "older"}}, "open"),
        ([], "open"),
    ],
)
def test_an_image_is_that_of_the_build(value, state):
    assert seen(verdicts.image_active("k"), value).state == state


def test_nodes_are_counted_and_their_arguments_compared():
    assert seen(verdicts.nodes_listed(2), [{}, {}]).state == "done"
    assert seen(verdicts.nodes_listed(2), [{}]).why == "1 of 2 nodes"
    assert seen(verdicts.nodes_listed(1), [{}], returncode=1).state == "open"
    good, other = {"instance_info": {"k": "v"}}, {"instance_info": {"k": "w"}}
    judge = verdicts.arguments_set("k", "v")
    assert judge([Answer(0, json.dumps(good))] * 2).state == "done"
    assert judge([Answer(0, json.dumps(good)), Answer(0, json.dumps(other))]).state == "open"
    assert judge([Answer(0, json.dumps({"instance_info": None}))]).state == "open"


@pytest.fixture
def wish(tmp_path):
    key = tmp_path / "id.pub"
    key.write_text("ssh-ed25519 AAAA\n")
    return runbook.RunbookOptions(
        bakery="bakery",
        folder=Path("/opt/devstack"),
        release="yoga",
        nodes=2,
        key=key,
    )


def steps_of(wish, build=None):
    return {one.name: one for one in runbook.steps(Build(Path("out"), build or a_build()), wish)}


def test_the_steps_come_in_their_order(wish):
    assert list(steps_of(wish)) == [
        *("configure", "stack", "upload", "arguments", "keypair", "boot", "login")
    ]


def test_bakerys_own_commands_are_understood_by_bakery(wish):
    found = steps_of(wish)
    step = runbook.building("bakery", Path("a b.qcow2"), Path("out"), "pv")
    commands = [
        command
        for one in (step, *found.values())
        for command in (*one.look, *one.act)
        if command.argv[0] == "bakery"
    ]
    assert len(commands) == 5
    for command in commands:
        assert understood(list(command.argv[1:])).params


def understood(words):
    """The click context of bakery's own words; click.UsageError where they mean nothing."""
    context = click.Context(whole)
    found: click.Command = whole
    while isinstance(found, click.Group):
        inner = found.get_command(context, words.pop(0))
        assert inner is not None
        found = inner
    return found.make_context("bakery", words)


def test_ironics_client_understands_what_looks(wish):
    node = pytest.importorskip("ironicclient.osc.v1.baremetal_node")
    found = steps_of(wish)
    kinds = {"list": node.ListBaremetalNode, "show": node.ShowBaremetalNode}
    for command in (*found["stack"].look, *found["arguments"].look):
        assert command.argv[3:5] == ("baremetal", "node")
        parser = kinds[command.argv[5]](SimpleNamespace(), None).get_parser("x")
        assert parser.parse_args(command.argv[6:]).formatter == "json"


def test_each_node_gets_the_arguments_as_the_client_reads_them(wish):
    step = steps_of(wish)["arguments"]
    found = [
        read_by_the_client(shlex.join(["openstack", *command.argv[3:]])) for command in step.act
    ]
    assert found == [(name, {"kernel_append_params": BLUEPRINT}) for name in ("node-0", "node-1")]


@pytest.mark.parametrize(
    ("release", "layout", "skip"),
    [("wallaby", "pv", "local.conf has them"), ("2026.1", "disk", "own boot loader")],
)
def test_arguments_of_a_nodes_own_are_left_out_where_they_mean_nothing(release, layout, skip, wish):
    changed = msgspec.structs.replace(wish, release=release)
    assert skip in steps_of(changed, a_build(layout))["arguments"].skip


@pytest.mark.parametrize(
    ("release", "cloud"), [("yoga", "devstack-admin"), ("2024.1", "devstack-system-admin")]
)
def test_nodes_are_asked_for_as_who_may_see_them(release, cloud, wish):
    step = steps_of(msgspec.structs.replace(wish, release=release), a_build("disk"))["stack"]
    assert step.look[0].argv[:3] == ("openstack", "--os-cloud", cloud)


def test_what_devstack_cannot_deploy_is_refused_with_the_way_out(wish):
    with pytest.raises(BakeryError, match="layout pv") as caught:
        steps_of(msgspec.structs.replace(wish, release="zed"))
    assert "--layout disk" in caught.value.hint
    with pytest.raises(BakeryError, match="goes back to Train"):
        steps_of(msgspec.structs.replace(wish, release="stein"))


def test_another_key_has_another_name(wish):
    before = runbook.key_name(wish.key)
    wish.key.write_text("ssh-ed25519 BBBB\n")
    assert runbook.key_name(wish.key) != before
    with pytest.raises(BakeryError, match="public key"):
        runbook.key_name(wish.key.with_name("none"))


def dry(source, key, *more):
    words = ["run", str(source), "--devstack", "/opt/devstack", "--ssh-key", str(key), "--dry-run"]
    return CliRunner().invoke(cli.command, [*words, *more])


def test_a_dry_run_prints_every_step_in_full_and_leaves_nothing(wish, tmp_path, monkeypatch):
    folder = put(tmp_path / "build", a_build())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = dry(folder, wish.key, "--release", "yoga", "--nodes", "2")
    assert list(Path().iterdir()) == []
    expected = steps_of(msgspec.structs.replace(wish, bakery=str(BAKERY)), a_build())
    for number, (name, step) in enumerate(expected.items(), 1):
        assert f"{number}/7 {name}: {step.title}\n" in done.stdout
    for command in (*expected["stack"].act, *expected["stack"].undo, *expected["arguments"].act):
        assert command.line in done.stdout
    listed = json.loads(dry(folder, wish.key, "--release", "yoga", "--json").stdout)
    assert [one["name"] for one in listed["steps"]] == list(expected)


def test_a_dry_run_of_an_image_that_is_not_built_says_what_it_cannot_tell(wish, tmp_path):
    image = tmp_path / "atomic.qcow2"
    image.write_bytes(b"x")
    done = dry(image, wish.key, "-o", str(tmp_path / "out"))
    assert done.stdout.startswith("1/… build: ")
    assert "build it first" in done.stdout


def test_a_run_without_devstack_ends_at_the_step_that_needs_it(wish, tmp_path, monkeypatch):
    folder = put(tmp_path / "build", a_build())
    words = ["run", str(folder), "--devstack", str(tmp_path / "none"), "--release", "yoga"]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.command, [*words, "--ssh-key", str(wish.key)])
    assert isinstance(done.exception, BakeryError)
    assert done.exception.message.startswith("step configure: ")
    assert Journal(Path("devstack-run.json")).read().steps["configure"].state == "begun"
