"""A BMC's password out of the environment, a file or a command, and never in a message."""

import os
from pathlib import Path

import pytest

from bakery.openstack.ironic import nodes_file, passwords
from bakery.openstack.ironic.problems import Problems

SECRET = "geheim-12"


def fleet_of(*details, driver="ipmi"):
    nodes = [
        {"name": f"n{number}", "driver": driver, "driver_info": one}
        for number, one in enumerate(details)
    ]
    return nodes_file.parse({"nodes": nodes})


def filled(tmp_path, *details, driver="ipmi"):
    """What becomes of driver_info, and what is said against it."""
    fleet = fleet_of(*details, driver=driver)
    assert not fleet.problems, fleet.problems.found
    file = tmp_path / "rack.yaml"
    file.touch(0o600)
    problems = Problems()
    nodes = passwords.filled(problems, fleet.nodes, file)
    said = [str(problem) for problem in problems.found]
    assert not any(SECRET in line for line in said)
    return [node.mappings.get("driver_info") for node in nodes], said


def secret_file(path: Path, mode=0o600, text=f"{SECRET}\nmore\n") -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("driver", "key"), [("ipmi", "ipmi_password"), ("redfish", "redfish_password")]
)
def test_a_file_beside_the_nodes_file_has_it_in_its_first_line(tmp_path, driver, key):
    secret_file(tmp_path / "r1")
    (info,), said = filled(tmp_path, {"password_file": "r1"}, driver=driver)
    assert (info, said) == ({key: SECRET}, [])


def test_a_variable_stands_for_a_whole_text_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("R1", SECRET)
    asked = {"ipmi_password": "${R1}", "ipmi_username": "a${R1}", "ipmi_address": "x"}
    (info,), said = filled(tmp_path, asked)
    assert (info, said) == (asked | {"ipmi_password": SECRET}, [])


@pytest.mark.parametrize("text", [None, "", "a\x1bb"])
def test_a_variable_that_gives_nothing_is_told_by_its_name(tmp_path, monkeypatch, text):
    monkeypatch.delenv("R1", raising=False)
    if text is not None:
        monkeypatch.setenv("R1", text)
    _, (line,) = filled(tmp_path, {"ipmi_password": "${R1}"})
    assert "driver_info.ipmi_password: the environment's R1" in line


def test_a_command_is_run_once_for_all_its_nodes_without_a_shell(tmp_path):
    counted = tmp_path / "count"
    program = tmp_path / "vault"
    program.write_text(f'#!/bin/sh\necho x >> {counted}\necho "$1"\necho more\n')
    program.chmod(0o700)
    one = {"password_command": [str(program), "$HOME; `id`"]}
    infos, said = filled(tmp_path, one, one)
    assert infos == [{"ipmi_password": "$HOME; `id`"}] * 2
    assert (said, counted.read_text()) == ([], "x\n")


def test_a_command_runs_in_the_files_folder_with_the_callers_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", SECRET)
    words = ["sh", "-c", 'test "$VAULT_TOKEN" && pwd']
    (info,), _ = filled(tmp_path, {"password_command": words})
    assert info == {"ipmi_password": str(tmp_path)}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sh", "-c", f"echo {SECRET} >&2; exit 3"], "exit code 3"),
        (["sh", "-c", "true"], "is empty"),
        (["sh", "-c", "head -c 100000 /dev/zero"], "more than 64 KiB"),
        (["sh", "-c", "printf '\\377\\n'"], "not UTF-8"),
        (["no-such-program-here"], "no program 'no-such-program-here'"),
    ],
)
def test_a_command_that_gives_nothing_is_told_without_its_words(tmp_path, words, reason):
    _, (line,) = filled(tmp_path, {"password_command": words})
    assert "driver_info.password_command:" in line and reason in line


def test_a_command_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(passwords, "COMMAND_SECONDS", 0.2)
    _, (line,) = filled(tmp_path, {"password_command": ["sleep", "600"]})
    assert "did not end within 0.2 s" in line


def test_a_file_that_others_can_change_has_no_command_run(tmp_path):
    counted = tmp_path / "ran"
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    fleet = fleet_of({"password_command": ["touch", str(counted)]})
    problems = Problems()
    passwords.filled(problems, fleet.nodes, folder / "rack.yaml")
    assert "other users may change" in str(problems.found[0]) and not counted.exists()


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_a_file_that_others_can_write_has_no_command_run(tmp_path, mode):
    counted, file = tmp_path / "ran", tmp_path / "rack.yaml"
    file.touch()
    file.chmod(mode)
    fleet = fleet_of({"password_command": ["touch", str(counted)]})
    problems = Problems()
    passwords.filled(problems, fleet.nodes, file)
    assert "chmod go-w" in str(problems.found[0]) and not counted.exists()


def test_a_file_that_others_read_or_reach_by_a_link_is_refused(tmp_path):
    secret_file(tmp_path / "open", 0o644)
    secret_file(tmp_path / "own")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    asked = [{"password_file": name} for name in ("open", "link", "none")]
    _, said = filled(tmp_path, *asked)
    words = ("other users can read", "is a link", "cannot be read")
    assert all(word in line for word, line in zip(words, said, strict=True)), said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_is_somebody_elses_is_refused(tmp_path):
    os.chown(secret_file(tmp_path / "theirs"), 4711, 4711)
    _, (line,) = filled(tmp_path, {"password_file": "theirs"})
    assert "belongs to user 4711" in line


@pytest.mark.parametrize(
    ("details", "driver", "words"),
    [
        ({"password_file": "a", "password_command": ["b"]}, "ipmi", "stands beside"),
        ({"password_file": "a", "ipmi_password": "b"}, "ipmi", "stands beside ipmi_password"),
        ({"password_file": 7}, "ipmi", "must be the name of a file"),
        ({"password_command": "pass show r1"}, "ipmi", "must be a list of words"),
        ({"password_command": []}, "ipmi", "must be a list of words"),
        ({"password_command": ["a", 1]}, "ipmi", "must be a list of words"),
        ({"password_file": "a"}, "snmp", "use ${NAME}"),
        ({"ipmi_password": "${R1-X}"}, "ipmi", "is no ${NAME}"),
    ],
)
def test_what_means_nothing_is_said_when_the_file_is_read(details, driver, words):
    (problem,) = fleet_of(details, driver=driver).problems.found
    assert words in str(problem)
