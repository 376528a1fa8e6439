"""`bakery nodes check`: every fault with its line, and no cloud."""

import json
import os
import subprocess

import pytest

from tests.cli.inside import ask, document, refusal, told
from tests.conftest import BAKERY

WRONG = """\
nodes:
  - name: r1
    driver: ipmi
    driver_info:
      ipmi_address: 10.0.0.1
      ipmi_port: 70000
    properties:
      capabilities: boot_mode:efi
      root_device: {size: big}
    ports:
      - address: 52:54:00:00:00:01
  - name: r1
    drivr: ipmi
    driver: ipmi
    driver_info: {ipmi_address: 10.0.0.1, ipmi_port: 70000}
    ports:
      - address: 52:54:00:00:00:01
  - name: r3
    driver: redfish
    driver_info: {redfish_address: 10.0.0.3, redfish_password: [secret]}
"""
FAULTS = [
    (6, "ipmi_port"), (8, "boot_mode is bios or uefi"), (9, "cannot be read"),
    (13, "drivr: is unknown"), (15, "ipmi_port"), (20, "redfish_password: must be text"),
    (12, "r1 is also that"), (17, "52:54:00:00:00:01 is also that"), (15, "also that of"),
    (18, "ports: are missing"),
]  # fmt: skip
GOOD = """\
nodes:
  - name: r1
    driver: ipmi
    driver_info: {ipmi_address: 10.0.0.1, password_file: r1.password}
    ports: [{address: 52:54:00:00:00:01}]
  - name: r2
    driver: ilo
    driver_info: {ilo_address: 10.0.0.2, ilo_password: "${R2_PASSWORD}"}
    ports: [{address: 52:54:00:00:00:02}]
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "rack.yaml"
        path.write_text(text)
        return path

    return write


def test_every_fault_is_told_with_its_line(file):
    done = ask("nodes", "check", file(WRONG))
    lines = done.stderr.splitlines()
    assert done.return_value == 1 and done.stdout == ""
    for line, words in FAULTS:
        assert any(f"rack.yaml:{line}: " in one and words in one for one in lines), (line, words)
    assert len(lines) == len(FAULTS) + 1, lines
    assert lines[-1].endswith(f"rack.yaml: {len(FAULTS)} problems")


def test_a_program_gets_the_same(file):
    answer = document("nodes", "check", file(WRONG))
    assert {one["line"] for one in answer["problems"]} == {line for line, _ in FAULTS}
    assert answer["nodes"] == 3 and answer["error"]


def test_a_good_file_is_good_and_what_only_ironic_deploys_is_named(file):
    lines = told("nodes", "check", file(GOOD)).splitlines()
    assert lines[0].endswith("rack.yaml: 2 nodes, no problem")
    assert lines[1].endswith(": r2")
    answer = document("nodes", "check", file(GOOD))
    assert (answer["problems"], answer["ironic_only"]) == ([], ["r2"])


def test_secrets_are_looked_up_on_request_and_never_shown(file, tmp_path, monkeypatch):
    monkeypatch.setenv("R2_PASSWORD", "geheim-2")
    path = file(GOOD)
    done = ask("nodes", "check", path, "--secrets")
    assert done.return_value == 1 and "rack.yaml:4: nodes[0] (r1)" in done.stderr
    (tmp_path / "r1.password").write_text("geheim-1\n")
    (tmp_path / "r1.password").chmod(0o600)
    done = ask("nodes", "check", path, "--secrets", "--json")
    assert done.return_value == 0 and "geheim" not in done.output


def test_a_password_in_a_file_that_others_read_is_a_fault(file):
    path = file(GOOD.replace("password_file: r1.password", "ipmi_password: geheim-1"))
    path.chmod(0o644)
    done = ask("nodes", "check", path)
    assert done.return_value == 1 and "chmod 600" in done.stderr and "geheim" not in done.output
    path.chmod(0o600)
    assert ask("nodes", "check", path).return_value == 0


def test_what_is_no_file_of_nodes_is_refused(file):
    assert "line 1" in str(refusal("nodes", "check", file("a: ]")))
    assert "cannot read" in str(refusal("nodes", "check", file("").with_name("none.yaml")))


def test_it_needs_no_cloud_no_home_and_no_network(file):
    words = ["unshare", "--net"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*words, BAKERY, "nodes", "check", file(GOOD), "--json"],
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["nodes"] == 2
