import json
import subprocess

import pytest

from bakery.disk.findings import CheckReport, Finding
from tests.cli.inside import ask


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "small.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"], check=True)
    return path


@pytest.fixture
def child(image):
    path = image.with_name("child.qcow2")
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, path]
    subprocess.run(words, check=True)
    return path


def test_a_sound_image_is_fine_in_one_line_with_its_notes_behind(bakery, image):
    done = bakery("check", image)
    assert done.returncode == 0
    first, *notes = done.stdout.splitlines()
    assert first == "small.qcow2: fine (qcow2, a disk of 0.01 GiB)"
    assert all(": note: " in line for line in notes)
    assert done.stderr == ""


def test_a_refused_image_ends_with_1_and_the_finding(bakery, child):
    done = bakery("check", child)
    assert done.returncode == 1
    assert "child.qcow2: refused: the image reads from another file" in done.stdout
    assert "CVE-2015-5163" in done.stdout
    assert "[backing-file]" in done.stdout


def test_json_tells_the_whole_report(bakery, child):
    done = bakery("check", "--json", child)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["image"], told["safe"], told["format"]) == ("child.qcow2", False, "qcow2")
    assert list(told["findings"][0]) == ["id", "severity", "message", "cve", "hint"]
    assert told["findings"][0]["severity"] == "refuse"


def test_a_format_that_was_said_is_held_against_the_content(bakery, image):
    assert bakery("check", image, "--format", "qcow2").returncode == 0
    done = bakery("check", image, "--format", "raw")
    assert done.returncode == 1
    assert "[format-mismatch]" in done.stdout


def test_an_unknown_format_is_wrong_usage(bakery, image):
    assert bakery("check", image, "--format", "floppy").returncode == 2


def test_a_name_with_control_characters_stays_on_its_line(bakery, image):
    odd = image.rename(image.with_name("a\nb\x1b[31m.qcow2"))
    done = bakery("check", odd)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "fine" in done.stdout.splitlines()[0]


def test_a_file_that_is_not_there_is_refused_by_name(bakery, tmp_path):
    done = bakery("check", tmp_path / "none.qcow2")
    assert done.returncode == 1
    assert "none.qcow2 cannot be read: No such file or directory" in done.stdout


def test_each_finding_is_told_with_its_holes_and_the_way_out(tmp_path, monkeypatch):
    findings: tuple[Finding, ...] = (
        Finding.refuse("one", "is bad", "CVE-1", "CVE-2", hint="do not"),
        Finding.warn("two", "is odd"),
    )
    asked = []

    def check(image, claimed):
        asked.append((image.name, claimed))
        return CheckReport("raw", 3 << 29, findings)

    monkeypatch.setattr("bakery.disk.formats.safety.check", check)
    done = ask("check", "a.img")
    assert (done.return_value, done.stdout.splitlines()) == (
        1,
        ["a.img: refused: is bad (CVE-1, CVE-2) [one]", "  do not", "a.img: note: is odd [two]"],
    )
    findings = findings[1:]
    done = ask("check", "a.img", "--format", "raw")
    assert (done.return_value, done.stdout.splitlines()) == (
        0,
        ["a.img: fine (raw, a disk of 1.50 GiB)", "a.img: note: is odd [two]"],
    )
    assert asked == [("a.img", ""), ("a.img", "raw")]
