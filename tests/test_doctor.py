import json
import os
from types import SimpleNamespace

import pytest

from bakery import doctor
from bakery.doctor import Finding
from bakery.host import sandbox, tools
from bakery.host.kvm import Acceleration


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
    monkeypatch.setattr("bakery.image.engines.direct.why_not", lambda: None)
    monkeypatch.setattr("bakery.host.sandbox.available", lambda: False)
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


@pytest.mark.parametrize("works", [True, False])
def test_what_confines_programs_is_good_where_it_works(no_trial, monkeypatch, tmp_path, works):
    monkeypatch.setattr(sandbox, "available", lambda: works)
    monkeypatch.setattr(doctor, "_succeeds", lambda _words: works)
    told = doctor.look(tmp_path)
    for name, word in (("bubblewrap", "works"), ("user namespaces", "can be made")):
        finding = found(told, name)
        assert finding.level == ("good" if works else "poor")
        assert (finding.detail == word) == works
        assert not (works and finding.remedy)


@pytest.mark.parametrize(("program", "ends"), [("true", True), ("false", False), ("none", False)])
def test_what_is_tried_is_seen_to_end_well(program, ends):
    assert doctor._succeeds([program]) == ends


@pytest.mark.skipif(tools.find("guestfish") is None, reason="needs guestfish")
@pytest.mark.parametrize("variable", ["LIBGUESTFS_PATH", "SUPERMIN_KERNEL"])
def test_an_appliance_that_the_environment_names_needs_no_kernel(
    no_trial, monkeypatch, tmp_path, variable
):
    monkeypatch.setenv(variable, "/somewhere")
    assert "the environment names" in found(doctor.look(tmp_path), "guestfs").detail


@pytest.mark.parametrize(
    ("there", "program"),
    [({"dnf"}, "dnf"), ({"apt-get"}, "apt-get"), ({"dnf", "apt-get"}, "apt-get")],
)
def test_a_kernel_is_installed_by_what_the_machine_has(monkeypatch, there, program):
    monkeypatch.setattr(tools, "find", lambda name: name if name in there else None)
    assert doctor._kernel_line().split()[:3] == ["sudo", program, "install"]


@pytest.fixture
def all_good(monkeypatch, tmp_path):
    """A machine that has everything, told in an instant: no program is run."""
    monkeypatch.setattr(doctor, "examine", lambda **_: Acceleration("kvm", "a guest ran"))
    monkeypatch.setattr(tools, "find", lambda program: tmp_path / program)
    monkeypatch.setattr(sandbox, "available", lambda: True)
    monkeypatch.setattr(doctor, "_succeeds", lambda _argv: True)
    monkeypatch.setattr(doctor, "_version", lambda _program: "1.2")
    monkeypatch.setattr("bakery.doctor.os.access", lambda _path, _mode: True)
    monkeypatch.setattr("bakery.image.engines.direct.why_not", lambda: "")
    code = SimpleNamespace(code=SimpleNamespace(filename="/OVMF.fd"))
    monkeypatch.setattr(doctor, "find_uefi", lambda **_: code)
    usage = SimpleNamespace(free=4 << 30)
    monkeypatch.setattr("bakery.doctor.shutil.disk_usage", lambda _path: usage)
    monkeypatch.delenv("LIBGUESTFS_PATH", raising=False)
    monkeypatch.delenv("SUPERMIN_KERNEL", raising=False)
    machine_with_kernel(tmp_path)
    return usage


def test_a_machine_that_has_everything_lacks_nothing(all_good, tmp_path):
    told = doctor.look(tmp_path)
    assert {finding.level for finding in told.findings} == {"good"}
    assert (told.can_build, told.install) == (True, "")
    assert {finding.remedy for finding in told.findings} == {""}
    assert found(told, "KVM").detail == "a guest ran"
    assert found(told, "UEFI").detail == "/OVMF.fd"
    assert found(told, "guestfs").detail.endswith("kernel vmlinuz-6.1.0-test")
    assert found(told, "zstd").detail.startswith("1.2: ")
    assert found(told, "udp-sender").detail.startswith("sends ")
    groups = [finding.group for finding in told.findings]
    assert list(dict.fromkeys(groups)) == [
        *("engines", "confinement", "guests", "space", "tools"),
    ]


@pytest.mark.parametrize(("free", "level"), [(4 << 30, "good"), ((4 << 30) - 1, "poor")])
def test_space_is_enough_from_4_gib_on(all_good, tmp_path, free, level):
    all_good.free = free
    told = doctor.look(tmp_path)
    assert {found(told, "here").level, found(told, "cache").level} == {level}
    assert "4.0 GiB free in /" in found(told, "here").detail


def test_space_is_looked_for_where_a_folder_will_be_made(all_good, tmp_path, monkeypatch):
    asked = []

    def usage(path):
        asked.append(path)
        return all_good

    monkeypatch.setattr("bakery.doctor.shutil.disk_usage", usage)
    (tmp_path / "file").touch()
    doctor._space("x", tmp_path / "none" / "deep")
    doctor._space("x", tmp_path / "file")
    doctor._space("x", tmp_path)
    assert asked == [tmp_path] * 3


def test_what_a_machine_lacks_is_told_with_the_way_out(all_good, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "find_uefi", lambda **_: None)
    monkeypatch.setattr("bakery.doctor.os.access", lambda path, _mode: path != doctor.FUSE_DEVICE)
    monkeypatch.setattr("bakery.image.engines.direct.why_not", lambda: "no qemu")
    monkeypatch.setattr(doctor, "FUSE_DEVICE", tmp_path / "fuse")
    told = doctor.look(tmp_path)
    assert (found(told, "UEFI").level, found(told, "FUSE").level) == ("poor", "poor")
    assert "ovmf" in found(told, "UEFI").remedy and "modprobe fuse" in found(told, "FUSE").remedy
    assert found(told, "FUSE").detail.endswith("does not exist")
    (tmp_path / "fuse").touch()
    assert found(doctor.look(tmp_path), "FUSE").detail.endswith("cannot be opened")
    assert (found(told, "direct").level, found(told, "direct").detail) == ("missing", "no qemu")
    assert told.can_build is True  # the other engine can


def test_the_newest_kernel_that_can_be_read_is_the_appliances(all_good, tmp_path, monkeypatch):
    for name in ("vmlinuz-6.0", "vmlinuz-6.2"):
        (tmp_path / "boot" / name).touch()
    newest = tmp_path / "boot/vmlinuz-6.2"
    assert found(doctor.look(tmp_path), "guestfs").detail.endswith("kernel vmlinuz-6.2")
    monkeypatch.setattr("bakery.doctor.os.access", lambda path, _mode: path != newest)
    assert found(doctor.look(tmp_path), "guestfs").detail.endswith("kernel vmlinuz-6.1.0-test")
    monkeypatch.setattr("bakery.doctor.os.access", lambda path, _mode: path == doctor.FUSE_DEVICE)
    told = found(doctor.look(tmp_path), "guestfs")
    assert (told.level, told.remedy) == ("missing", f"sudo chmod a+r {newest}")


@pytest.mark.parametrize(
    ("out", "err", "version"),
    [
        (b"tool 1.2.3-rc1\n", b"4.5", "1.2.3-rc1"),
        (b"", b"tool v4.5.\n", "4.5"),
        (b"no number: 7\n", b"", "version unknown"),
        (b"\xff 2.0~b+1 3.1", b"", "2.0~b+1"),
    ],
)
def test_a_version_is_the_first_number_with_a_dot(monkeypatch, out, err, version):
    asked = []

    def run(argv, *, timeout, check):
        asked.append((argv, timeout, check))
        return SimpleNamespace(stdout=out, stderr=err)

    monkeypatch.setattr(doctor, "run", run)
    assert doctor._version("zstd") == version
    doctor._version("busybox")
    doctor._version("ip")
    assert asked == [
        (["zstd", "--version"], 5.0, False),
        (["busybox", "--help"], 5.0, False),
        (["ip", "-V"], 5.0, False),
    ]


def test_a_program_that_cannot_be_asked_has_no_version():
    assert doctor._version("no-such-program") == "version unknown"
