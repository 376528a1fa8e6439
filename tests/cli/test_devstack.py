"""`bakery devstack`: what its options mean, what it says of a local.conf, and how it runs."""

import re

import pytest

from bakery.devstack import steps, verdicts
from bakery.devstack.host import GIB, Host
from tests.cli.inside import ask, document, numbers, refusal, told, usage
from tests.devstack.builds import a_build, put

FORMS = ("local.conf", "localrc")
YOGA = ("--release", "yoga")


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """This machine has enough of everything."""
    monkeypatch.setattr("bakery.devstack.host.this", lambda: Host(64 * GIB))


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return put(tmp_path / "build", a_build())


@pytest.mark.parametrize("form", FORMS)
def test_the_numbers_are_bounded_and_what_is_not_said_is_left_to_the_release(form):
    assert numbers("devstack", form) == {
        "--nodes": (1, 64, 1),
        "--node-memory": (256, None, None),
        "--node-disk": (1, None, None),
        "--node-cpus": (1, 64, 1),
        "--memory": (1, None, None),
    }
    assert numbers("devstack", "check") == {"--memory": (1, None, None)}
    assert numbers("devstack", "run") == {"--nodes": (1, 64, 1)}


def test_a_local_conf_has_what_the_options_say(build, tmp_path):
    words = ("--release", "yoga", "--nodes", "2", "--node-cpus", "3", "--node-memory", "4096")
    more = ("--node-disk", "20", "--host-ip", "192.0.2.7", "--log-folder", "/var/log/nodes")
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("secret1\n")
    answer = document("devstack", "local.conf", build, *words, *more, "--password-file", password)
    assert answer == {"files": ["local.conf"], "release": "yoga", "nodes": 2}
    lines = (tmp_path / "local.conf").read_text().splitlines()
    for line in (
        *("IRONIC_VM_COUNT=2", "IRONIC_VM_SPECS_CPU=3", "IRONIC_VM_SPECS_RAM=4096"),
        *("IRONIC_VM_SPECS_DISK=20", "HOST_IP=192.0.2.7", "ADMIN_PASSWORD=secret1"),
    ):
        assert line in lines
    assert any(line.endswith("=/var/log/nodes") for line in lines)


def test_without_a_password_each_gets_one_of_its_own(build, tmp_path):
    passwords = set()
    for name in ("one", "two"):
        assert told("devstack", "local.conf", build, "-o", name) == f"{name}\n"
        (password,) = re.findall(r"(?m)^ADMIN_PASSWORD=(.*)$", (tmp_path / name).read_text())
        passwords.add(password)
        assert len(password) == 24
    assert len(passwords) == 2


def test_a_localrc_is_of_juno_and_has_its_local_conf_beside_it(build, tmp_path):
    (tmp_path / "there").mkdir()
    answer = document("devstack", "localrc", build, "-o", tmp_path / "there")
    names = [str(tmp_path / "there" / name) for name in ("localrc", "local.conf")]
    assert answer == {"files": names, "release": "juno", "nodes": 1}
    assert "[pxe]" in (tmp_path / "there/local.conf").read_text()
    assert "[pxe]" not in (tmp_path / "there/localrc").read_text()
    assert document("devstack", "localrc", build, "--release", "liberty")["release"] == "liberty"
    assert (tmp_path / "localrc").exists() and (tmp_path / "local.conf").exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_other_content_is_overwritten_on_request_alone(build, tmp_path, form):
    (tmp_path / form).write_text("mine")
    assert "already exists" in refusal("devstack", form, build).message
    assert (tmp_path / form).read_text() == "mine"
    told("devstack", form, build, "--replace")
    assert (tmp_path / form).read_text() != "mine"


def test_nodes_that_the_machine_cannot_hold_are_refused_and_few_is_said(build, tmp_path):
    words = ("devstack", "local.conf", build, "--node-memory", "8192", "--nodes", "2")
    error = refusal(*words, "--memory", "15")
    assert "2 nodes of 8192 MiB need" in error.message and "--node-memory" in error.hint
    assert not (tmp_path / "local.conf").exists()
    done = ask(*words, "--memory", "20")
    assert "remain for devstack's services" in done.stderr
    assert "remain for devstack's services" not in ask(*words).stderr


def test_what_a_release_cannot_do_is_said(build):
    assert "which writes nothing" in ask("devstack", "local.conf", build).stderr
    assert ask("devstack", "local.conf", build, "--release", "yoga", "--replace").stderr == ""


def test_a_local_conf_is_checked_against_build_release_and_machine(build):
    told("devstack", "local.conf", build, "--release", "yoga", "--nodes", "4")
    assert told("devstack", "check", "local.conf") == "local.conf: no problems found for yoga\n"
    assert document("devstack", "check", "local.conf", "--image", build) == {
        "file": "local.conf", "release": "yoga", "errors": 0, "findings": []
    }  # fmt: skip
    answer = document("devstack", "check", "local.conf", "--release", "zed")
    assert answer["release"] == "zed"
    done = ask("devstack", "check", "local.conf", "--memory", "1")
    assert done.return_value == 1 and "local.conf:" in done.stdout
    assert "no problems" not in done.stdout


def test_what_is_wrong_is_told_with_its_line_and_the_way_out(build, tmp_path):
    told("devstack", "local.conf", build)
    text = (tmp_path / "local.conf").read_text()
    (tmp_path / "local.conf").write_text(text.replace("[[post-config|", "[[post-confg|"))
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "[[post-config|" in line)
    done = ask("devstack", "check", "local.conf", "--image", build)
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"local.conf:{number}: error: "))
    assert lines[at + 1].startswith("  ")
    assert done.return_value == 1
    answer = document("devstack", "check", "local.conf")
    levels = [finding["level"] for finding in answer["findings"]]
    assert answer["errors"] == levels.count("error") >= 1


def test_only_warnings_end_well(build):
    told("devstack", "local.conf", build, "--release", "yoga")
    done = ask("devstack", "check", "local.conf", "--memory", "8")
    assert "warning: " in done.stdout and "error: " not in done.stdout
    assert not done.return_value
    # what is said of the file as a whole has no line
    assert re.search(r"(?m)^local\.conf(:[1-9]\d*)?: warning: ", done.stdout)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "id.pub"
    path.write_text("ssh-ed25519 AAAA\n")
    return path


def test_devstack_and_a_key_have_to_be_named(build, key):
    assert "--devstack" in usage("devstack", "run", build, "--ssh-key", key)
    assert "--ssh-key" in usage("devstack", "run", build, "--devstack", "x")
    assert "does not exist" in usage("devstack", "run", "none", "--devstack", "x", "--ssh-key", key)


def test_a_dry_run_tells_a_program_how_each_step_is_done_and_seen(build, key, tmp_path):
    words = ("devstack", "run", build, "--devstack", "/opt/devstack", "--ssh-key", key, *YOGA)
    answer = document(*words, "--dry-run", "--server", "mine", "--user", "me", "--nodes", "2")
    assert answer["complete"] is True
    by_name = {step["name"]: step for step in answer["steps"]}
    assert list(by_name)[:2] == ["configure", "stack"]
    assert set(by_name["boot"]) == {"name", "title", "skip", "look", "act", "undo", "wait_seconds"}
    assert " mine" in by_name["boot"]["act"][0] and "me@" in " ".join(by_name["login"]["look"])
    assert "--nodes 2" in " ".join(by_name["configure"]["act"])
    assert by_name["stack"]["act"][0].startswith("cd /opt/devstack && ")
    assert not (tmp_path / "devstack-run.json").exists()


def test_an_image_is_built_first_and_what_is_known_of_its_build_is_told(build, key, tmp_path):
    image = tmp_path / "atomic.qcow2"
    image.write_bytes(b"x")
    words = ("devstack", "run", image, *YOGA, "--devstack", "x", "--ssh-key", key, "--dry-run")
    lines = told(*words, "--layout", "lv").splitlines()
    assert lines[0].startswith("1/… build: ")
    assert any("-o atomic" in line and "--layout lv" in line for line in lines)
    assert lines[-1].endswith("build it first")
    assert document(*words)["complete"] is False
    whole = told(*words, "-o", build).splitlines()  # its build is there already
    assert whole[0].startswith("1/8 build: ") and "build it first" not in whole[-1]
    assert document(*words, "-o", build)["complete"] is True


def test_a_run_does_its_steps_and_answers_with_the_address(build, key, tmp_path, monkeypatch):
    look = steps.Command(("test", "-e", "one"), str(tmp_path))
    learn = {"address": "10.1.0.5"}
    step = steps.Step(
        name="one",
        title="makes it",
        look=(look,),
        judge=lambda answers: steps.Seen(verdicts.ended_well(answers).state, "", learn),
        act=(steps.Command(("touch", "one"), str(tmp_path)),),
    )
    monkeypatch.setattr("bakery.devstack.runbook.steps", lambda _build, _wish: [step])
    words = ("devstack", "run", build, "--devstack", "x", "--ssh-key", key)
    done = ask(*words, "--journal", tmp_path / "there.json")
    assert done.stdout == "10.1.0.5\n" and "makes it" in done.stderr
    assert (tmp_path / "one").exists() and (tmp_path / "there.log").exists()
    assert document(*words) == {"address": "10.1.0.5", "journal": "devstack-run.json"}


def test_an_image_that_is_not_built_is_built_by_the_first_step(build, key, tmp_path, monkeypatch):
    """Its build is what the steps behind are told by: here it fails, and nothing else is asked."""
    image = tmp_path / "atomic.qcow2"
    image.write_bytes(b"x")
    monkeypatch.setattr("bakery.devstack.run.WAIT_SECONDS", 0, raising=False)
    error = refusal("devstack", "run", image, "--devstack", "x", "--ssh-key", key)
    assert error.message.startswith("step build: ")


def test_a_step_calls_this_bakery_or_the_one_on_the_path(build, key, tmp_path, monkeypatch):
    words = ("devstack", "run", build, *YOGA, "--devstack", "x", "--ssh-key", key, "--dry-run")

    def called():
        return document(*words)["steps"][0]["act"][0].split()[0]

    monkeypatch.setattr("sys.executable", str(tmp_path / "python3"))
    assert called() == "bakery"
    (tmp_path / "bakery").touch()
    assert called() == str(tmp_path / "bakery")
