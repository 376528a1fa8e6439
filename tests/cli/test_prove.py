"""`bakery prove` on the command line: what is asked of a guest, and how its end is told."""

from types import SimpleNamespace

import pytest

from bakery.host.errors import UsageError
from bakery.vm.prove.shell import Command
from bakery.vm.prove.verdict import Verdict
from tests.cli.inside import ask, document, numbers, refusal, told, usage
from tests.devstack.builds import a_build, put


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What would have been proved; `verdict` is what comes of it."""
    put(tmp_path / "build", a_build())
    monkeypatch.delenv("BAKERY_PASSWORD", raising=False)

    verdict = {"reached": "login", "reason": "host login:", "command": None}
    made = SimpleNamespace(calls=[], verdict=verdict)

    def prove(_build, options, *, console_path, report):
        made.calls.append((options, console_path))
        return Verdict(**made.verdict, seconds=1.25, accel="tcg", console=str(console_path))

    monkeypatch.setattr("bakery.vm.prove.prove.prove", prove)
    return made


def test_the_numbers_are_bounded():
    assert numbers("prove") == {"--timeout": (1, 86400, None), "--memory": (128, 1 << 20, 2048)}


def test_a_build_that_boots_is_told_with_its_console(asked, tmp_path):
    kept = tmp_path / "build/fedora-atomic-console.log"
    lines = told("prove", tmp_path / "build").splitlines()
    assert lines[0].endswith("(1.2 s): host login:") and lines[1] == f"console: {kept}"
    options, console = asked.calls[0]
    assert console == kept and options.command == "" and options.machine.cpu == ""
    assert (options.login.user, options.login.password) == ("root", "bakery")
    assert options.machine.memory_mib == 2048 and options.firmware is None


def test_what_the_options_say_reaches_the_guest(asked, tmp_path, monkeypatch):
    asked.verdict["command"] = Command("uname", 0, "Linux\n\n")
    monkeypatch.setenv("BAKERY_PASSWORD", "from outside")
    words = ("--run", "uname", "--user", "me", "--console", tmp_path / "log", "--memory", "256")
    more = ("--cpu", "host", "--firmware", "uefi", "--timeout", "7")
    assert told("prove", tmp_path / "build", *words, *more).startswith("Linux\n\n")
    options, console = asked.calls[0]
    assert (options.command, options.timeout_seconds) == ("uname", 7.0)
    assert (options.login.user, options.login.password) == ("me", "from outside")
    assert (options.machine.memory_mib, options.machine.cpu) == (256, "host")
    assert (options.firmware, console) == ("uefi", tmp_path / "log")


def test_the_password_of_a_file_is_its_first_line(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKERY_PASSWORD", "from outside")
    for content, password in ((b"a b \r\nother", "a b "), (b"x" * 5000, "x" * 4096)):
        (tmp_path / "secret").write_bytes(content)
        (tmp_path / "secret").chmod(0o600)
        told("prove", tmp_path / "build", "--password-file", tmp_path / "secret")
        assert asked.calls[-1][0].login.password == password
    absent = ("--password-file", tmp_path / "none")
    assert "does not exist" in usage("prove", tmp_path / "build", *absent)


def test_a_key_is_for_a_command_and_instead_of_a_password(asked, tmp_path):
    key = tmp_path / "key"
    key.write_text("a key")
    key.chmod(0o600)
    told("prove", tmp_path / "build", "--run", "id", "--key", key, "--user", "me")
    options, _ = asked.calls[0]
    assert (options.key, options.command, options.login.user) == (key, "id", "me")
    for wrong in ((), ("--run", "id", "--password-file", key)):
        error = refusal("prove", tmp_path / "build", "--key", key, *wrong)
        assert isinstance(error, UsageError) and "--run" in error.message


@pytest.mark.parametrize("option", ["--key", "--password-file"])
def test_a_secret_that_others_can_read_is_refused(asked, tmp_path, option):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o640)
    error = refusal("prove", tmp_path / "build", "--run", "id", option, secret)
    assert "other users can read" in error.message and error.hint == f"chmod 600 {secret}"
    assert asked.calls == []


@pytest.mark.parametrize(
    ("reached", "command"), [("emergency", None), ("login", Command("false", 1))]
)
def test_a_build_that_does_not_come_up_ends_with_1(asked, tmp_path, reached, command):
    asked.verdict |= {"reached": reached, "command": command}
    assert ask("prove", tmp_path / "build").return_value == 1
    assert document("prove", tmp_path / "build")["reached"] == reached
