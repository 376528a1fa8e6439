import json
import os

import pytest

from bakery import doctor, tools
from bakery.doctor import Finding
from bakery.kvm import Acceleration


def found(examination: doctor.Examination, name: str) -> Finding:
    (finding,) = [f for f in examination.findings if f.name == name]
    return finding


@pytest.fixture
def no_trial(monkeypatch):
    """A verdict on KVM without a guest."""
    verdict = Acceleration("tcg", "it hung")
    monkeypatch.setattr(doctor, "examine", lambda **_: verdict)


@pytest.fixture
def without(monkeypatch):
    """Makes programs be missing: `without("guestfish")`."""

    def hide(*programs):
        real = tools.find
        monkeypatch.setattr(tools, "find", lambda p: None if p in programs else real(p))

    return hide


def machine_with_kernel(root, mode=0o644):
    """A root folder whose /boot holds a kernel."""
    (root / "boot").mkdir()
    kernel = root / "boot" / "vmlinuz-6.1.0-test"
    kernel.write_bytes(b"kernel")
    kernel.chmod(mode)
    return root


def test_every_tool_is_told_with_its_version_or_the_way_to_it(no_trial, without, tmp_path):
    without("ostree")
    examined = doctor.look(machine_with_kernel(tmp_path))
    for tool in tools.TOOLS:
        finding = found(examined, tool.program)
        if tools.find(tool.program):
            assert finding.level == "good"
            told = finding.detail[0].isdigit()
            assert told != (tool.program in doctor.NO_VERSION), finding
        else:
            assert finding.level == "missing"
            assert finding.remedy
    assert "ostree" in examined.install


def test_kvm_that_does_not_run_guests_is_told_with_its_reason(no_trial, tmp_path):
    finding = found(doctor.look(tmp_path), "KVM")
    assert finding.level == "poor"
    assert "it hung" in finding.detail


def test_kvm_is_tried_anew_each_time(monkeypatch, tmp_path):
    asked = []

    def examine(*, fresh=False):
        asked.append(fresh)
        return Acceleration("kvm", "a trial guest ran under kvm")

    monkeypatch.setattr(doctor, "examine", examine)
    assert found(doctor.look(tmp_path), "KVM").level == "good"
    assert asked == [True]


def test_without_any_engine_nothing_can_be_built_and_each_is_told_why(no_trial, without, tmp_path):
    without("guestfish", "grub-fstest")
    examined = doctor.look(tmp_path)
    assert not examined.can_build
    assert "guestfish" in found(examined, "guestfs").detail
    assert "grub-fstest" in found(examined, "direct").detail
    assert "libguestfs-tools" in examined.install


@pytest.mark.skipif(tools.find("guestfish") is None, reason="needs guestfish")
def test_one_engine_is_enough(no_trial, without, tmp_path):
    without("grub-fstest")
    assert doctor.look(machine_with_kernel(tmp_path)).can_build


@pytest.mark.skipif(tools.find("guestfish") is None, reason="needs guestfish")
def test_an_appliance_needs_a_kernel(no_trial, tmp_path):
    finding = found(doctor.look(tmp_path), "guestfs")
    assert finding.level == "missing"
    assert "linux-image" in finding.remedy or "kernel-core" in finding.remedy


@pytest.mark.skipif(tools.find("guestfish") is None, reason="needs guestfish")
def test_a_kernel_that_may_not_be_read_is_told(no_trial, tmp_path, monkeypatch):
    real = os.access
    closed = lambda path, mode: "vmlinuz" not in str(path) and real(path, mode)  # noqa: E731
    monkeypatch.setattr(os, "access", closed)
    finding = found(doctor.look(machine_with_kernel(tmp_path)), "guestfs")
    assert finding.level == "missing"
    assert "chmod a+r" in finding.remedy


def test_no_cage_makes_the_direct_engine_poor_but_not_missing(no_trial, monkeypatch, tmp_path):
    monkeypatch.setattr("bakery.engines.direct.why_not", lambda: None)
    monkeypatch.setattr("bakery.sandbox.available", lambda: False)
    examined = doctor.look(tmp_path)
    assert found(examined, "direct").level == "poor"
    assert found(examined, "bubblewrap").level == "poor"
    assert examined.can_build


def test_the_command_answers_with_a_document_that_agrees_with_its_exit_code(bakery, tmp_path):
    done = bakery("doctor", "--json", env={"XDG_CACHE_HOME": str(tmp_path)})
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["can_build"] else 1)
    assert {f["group"] for f in document["findings"]} == {
        "engines",
        "confinement",
        "guests",
        "space",
        "tools",
    }


def test_the_command_ends_with_whether_a_build_can_run(bakery, tmp_path):
    done = bakery("doctor", env={"XDG_CACHE_HOME": str(tmp_path)})
    assert ("bakery can build here" in done.stdout) == (done.returncode == 0)
    assert "qemu-img" in done.stdout
    assert "\x1b" not in done.stdout
