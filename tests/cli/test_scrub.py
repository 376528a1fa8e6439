"""The command line of `bakery scrub`: what cannot be meant is refused, and nothing is written."""

from pathlib import Path
from types import SimpleNamespace

import click
import msgspec
import pytest
from click.testing import CliRunner

from bakery.build.scrub.find import Findings, Found
from bakery.build.scrub.unsearched import Unsearched
from bakery.build.spec import Recovery
from bakery.cli.scrub import command
from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from tests import tiny
from tests.cli.inside import document, told


@pytest.fixture
def image(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    return tiny.make(tmp_path / "in")


def scrub(image: Path, *words: str | Path):
    return CliRunner().invoke(command, [str(image), *map(str, words)], standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "use -o OUT"),
        (("-o", "out", "--in-place"), "-o and --in-place"),
        (("-o", "out", "--in-place", "--dry-run"), "-o and --in-place"),
        (("-o", "out", "--recovery", "kept"), "--recovery and --public-key"),
        (("-o", "out", "--public-key", "key"), "--recovery and --public-key"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(image, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    before = image.read_bytes()
    done = scrub(image, *words)
    assert isinstance(done.exception, click.UsageError)
    assert said in done.exception.message
    assert image.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("name", ["tiny.qcow2", "link", "../in/tiny.qcow2"])
def test_the_image_is_not_written_over_unless_that_was_said(image, monkeypatch, name):
    monkeypatch.chdir(image.parent)
    Path("link").symlink_to("tiny.qcow2")
    before = image.read_bytes()
    done = scrub(image, "-o", name)
    assert isinstance(done.exception, click.UsageError)
    assert "--in-place" in done.exception.message
    assert image.read_bytes() == before


def test_a_look_writes_nothing(image, tmp_path):
    before = image.read_bytes()
    done = scrub(image, "--dry-run", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    assert "written" not in done.stdout
    assert image.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


FOUND = Findings(
    files=(
        Found("keys", "/dev/sda2", "/etc/key", 7, "a secret", "remove"),
        Found("swap", "/dev/sda2", "/swap", 9, "swapped-out", "blank"),
    ),
    swaps=(Volume("/dev/sda3", 4096, ()),),
    filesystems=(Volume("/dev/sda2", 1 << 20, ()),),
    gaps=(Extent(0, 100), Extent(512, 200)),
    notes=("it is old",),
)
NOTHING = Findings((), (), (), ())
LOST = Unsearched("/home", "/dev/md0", "/etc/fstab:1", "is an array")


@pytest.fixture
def asked(monkeypatch):
    """What would have been scrubbed; `found` is what is in the image."""
    made = SimpleNamespace(calls=[], found=FOUND)

    def scrub_file(image, target, request, _report, show):
        made.calls.append((image, target, request.recovery))
        made.left = request.leave_unsearched
        show(made.found)
        return made.found

    monkeypatch.setattr("bakery.build.scrub.work.scrub_file", scrub_file)
    monkeypatch.setattr("bakery.build.scrub.work.look_at_file", lambda *_: made.found)
    return made


def test_what_is_found_is_told_with_its_rule_and_its_bytes(asked):
    lines = told("scrub", "a.qcow2", "--dry-run").splitlines()
    assert lines[:2] == ["note: it is old", "a.qcow2: 2 files and folders"]
    rows = [" ".join(line.split()) for line in lines[5:]]
    assert rows == [
        "keys /dev/sda2:/etc/key 7 a secret",
        "swap /dev/sda2:/swap 9 swapped-out",
        "swap /dev/sda3 4096 swapped-out memory of programs",
        "deleted-data /dev/sda2: free space files deleted earlier",
        "deleted-data between partitions 300 remains of earlier contents",
    ]
    assert asked.calls == []
    asked.found = NOTHING
    assert "between partitions" not in told("scrub", "a.qcow2", "--dry-run")


def test_what_was_not_searched_is_told_and_fails_a_look_unless_it_was_named(asked):
    asked.found = msgspec.structs.replace(NOTHING, unsearched=(LOST,))
    done = CliRunner().invoke(command, ["a.qcow2", "--dry-run"], standalone_mode=False)
    assert isinstance(done.exception, BakeryError)
    assert "not searched: /home (/etc/fstab:1): /dev/md0 is an array" in done.stdout
    named = ("--leave-unsearched", "/home")
    answer = document("scrub", "a.qcow2", "--dry-run", *named)
    assert answer["unsearched"] == [
        {"name": "/home", "device": "/dev/md0", "named_in": "/etc/fstab:1", "reason": "is an array"}
    ]
    told("scrub", "a.qcow2", "--in-place", *named)
    assert asked.left == ("/home",)


def test_a_program_is_told_the_same(asked, tmp_path):
    answer = document("scrub", "a.qcow2", "--dry-run")
    assert (answer["output"], answer["recovery"], answer["gap_bytes"]) == (None, None, 300)
    assert answer["swap_volumes"] == ["/dev/sda3"] and answer["cleared_volumes"] == ["/dev/sda2"]
    kept = ("--recovery", tmp_path / "kept", "--public-key", tmp_path / "key")
    answer = document("scrub", "a.qcow2", "--in-place", *kept)
    assert (answer["output"], answer["recovery"]) == ("a.qcow2", str(tmp_path / "kept"))


def test_what_was_written_is_told_with_where_the_rest_is_kept(asked, tmp_path):
    out, kept = tmp_path / "out", tmp_path / "kept"
    words = ("scrub", "a.qcow2", "-o", out)
    more = ("--recovery", kept, "--public-key", tmp_path / "key")
    assert told(*words).splitlines()[-1] == f"written: {out}"
    assert told(*words, *more).splitlines()[-1] == f"written: {out}, kept in {kept}"
    assert asked.calls == [
        (Path("a.qcow2"), out, None),
        (Path("a.qcow2"), out, Recovery(kept, tmp_path / "key")),
    ]
    asked.found = NOTHING
    lines = told(*words, *more).splitlines()
    assert lines[-1] == f"nothing that could be kept was removed: {kept} was not written"
    assert lines[-2] == f"written: {out}"
    assert "was not written" not in told(*words)
    assert "was not written" not in told("scrub", "a.qcow2", "--dry-run", *more)


def test_what_is_found_is_told_before_anything_is_written(asked, tmp_path):
    asked.found = FOUND
    looked = told("scrub", "a.qcow2", "--dry-run")
    assert told("scrub", "a.qcow2", "-o", tmp_path / "out") == f"{looked}written: {tmp_path}/out\n"


def test_links_are_followed_to_what_is_written(asked, tmp_path):
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "link").symlink_to("real")
    told("scrub", tmp_path / "link", "--in-place")
    told("scrub", "a.qcow2", "-o", tmp_path / "link")
    assert [target for _, target, _ in asked.calls] == [tmp_path / "real"] * 2
