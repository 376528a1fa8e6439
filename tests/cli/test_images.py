"""`bakery images` and its prune: the table, what is asked, and what is removed."""

import io
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from bakery.cli import images
from bakery.openstack.glance.health import ImageHealth
from bakery.openstack.glance.prune import Bounds, Doomed, Spared, Unused
from tests.cli.inside import ask, document, numbers, refusal, told

ENTRY = ImageHealth(
    id="7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10",
    name="tiny",
    role="base",
    shape="ami",
    status="active",
    size_bytes=4096,
    hidden=True,
    visibility="private",
    owner="ours",
    created_at="2020-05-17T12:00:00Z",
    links={"kernel": "aaaaaaaa-0b0a-4c61-8d8e-3e8f5c1f2b10"},
    problems=("kernel gone: aaaaaaaa-0b0a-4c61-8d8e-3e8f5c1f2b10 is not there", "stuck: so"),
)


def test_a_table_in_a_file_is_not_cut_to_a_width():
    text = images._table([ENTRY])
    [line] = [line for line in text.splitlines() if ENTRY.id in line]
    words = ("tiny", "base ami", "active (hidden)", "4096", "kernel aaaaaaaa", "kernel gone, stuck")
    assert [word for word in words if word not in line] == []


def test_markup_and_control_characters_in_names_stay_text():
    odd = ImageHealth(
        **{field: getattr(ENTRY, field) for field in ENTRY.__struct_fields__}
        | {"name": "[bold]\x1b[31mx", "problems": ()}
    )
    text = images._table([odd])
    assert r"[bold]\x1b[31mx" in text
    assert "good" in text


def test_a_terminal_too_narrow_keeps_the_ids_whole(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    assert ENTRY.id in images._table([ENTRY])


@pytest.mark.parametrize("hours", ["-1", "soon", "nan", "9999999999999999999"])
def test_a_bound_that_means_nothing_is_wrong_usage(bakery, hours):
    assert bakery("images", "prune", "--older-than", hours).returncode == 2


@pytest.mark.parametrize("words", [(), ("prune",)])
def test_a_cloud_that_is_not_known_is_told(bakery, tmp_path, words):
    (tmp_path / "clouds.yaml").write_text("clouds: {}")
    where = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    done = bakery("images", *words, "--cloud", "nix", env=where)
    assert done.returncode == 1
    assert "no cloud is called 'nix'" in done.stderr


@pytest.fixture
def there(monkeypatch):
    """A cloud whose images are told of; which clouds were asked for, and what was removed."""
    there: dict[str, Any] = {"clouds": [], "removed": [], "bounds": []}
    doomed = [
        Doomed("i-1", "a", "kernel", "active", 7, "no base links to it"),
        Doomed("i-2", "b", "ramdisk", "queued", None, "its upload failed"),
    ]
    there["plan"] = Unused(tuple(doomed), (Spared("i-3", "c", "kernel", "another's base has it"),))

    def find_unused(_images, bounds):
        there["bounds"].append(bounds)
        return there["plan"]

    def remove(_images, doomed, bounds):
        there["removed"] += [one.id for one in doomed]
        return doomed[:1]

    monkeypatch.setattr("bakery.openstack.glance.images.Images.of_cloud", there["clouds"].append)
    monkeypatch.setattr("bakery.openstack.glance.prune.find_unused", find_unused)
    monkeypatch.setattr("bakery.openstack.glance.prune.remove", remove)
    return there


LISTED = [
    "i-1  a (kernel, 7 bytes): no base links to it",
    "i-2  b (ramdisk): its upload failed",
    "kept: i-3  c: another's base has it",
]


def test_what_nothing_refers_to_is_removed_once_somebody_agrees(there):
    assert told("images", "prune", "--yes").splitlines() == [*LISTED, "removed: 1 of 2"]
    assert there["removed"] == ["i-1", "i-2"]
    assert there["bounds"] == [Bounds(older_than=timedelta(hours=1), hidden=False)]
    told("images", "--cloud", "group", "prune", "--yes", "--hidden", "--older-than", "0")
    assert there["bounds"][1] == Bounds(older_than=timedelta(0), hidden=True)
    told("images", "--cloud", "group", "prune", "--yes", "--cloud", "own")
    assert there["clouds"] == [None, "group", "own"]


@pytest.mark.parametrize(("typed", "removed"), [("y\n", ["i-1", "i-2"]), ("n\n", []), ("\n", [])])
def test_on_a_terminal_it_is_asked_for(there, monkeypatch, typed, removed):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    done = ask("images", "prune", input=typed)
    assert "Remove 2 images?" in done.output
    assert there["removed"] == removed
    there["plan"] = Unused(there["plan"].doomed[:1], ())
    assert "Remove 1 image?" in ask("images", "prune", input="n\n").output


def test_without_a_terminal_nobody_can_agree(there):
    error = refusal("images", "prune")
    assert error.exit_code == 2 and "--yes" in error.hint
    assert there["removed"] == []


def test_a_program_is_told_and_nothing_is_removed_unless_it_says_yes(there):
    answer = document("images", "prune")
    assert [one["id"] for one in answer["plan"]["doomed"]] == ["i-1", "i-2"]
    assert answer["removed"] == [] and there["removed"] == []
    assert [one["id"] for one in document("images", "prune", "--yes")["removed"]] == ["i-1"]


def test_where_all_is_of_use_nothing_is_asked(there):
    there["plan"] = Unused((), ())
    assert told("images", "prune", "--yes") == "nothing to remove\n"
    assert there["removed"] == []


def test_the_bound_is_in_hours():
    assert numbers("images", "prune") == {"--older-than": (0, 24 * 3650, 1)}


def test_the_list_has_the_problems_below_it(there, monkeypatch):
    entries = [ENTRY]
    monkeypatch.setattr("bakery.openstack.glance.health.entries", lambda _images: entries)
    lines = told("images", "--cloud", "here").splitlines()
    assert lines[-2:] == [f"tiny ({ENTRY.id}): {problem}" for problem in ENTRY.problems]
    assert "nothing" not in lines[0] and there["clouds"] == ["here"]
    assert document("images")[0]["id"] == ENTRY.id
    entries.clear()
    assert told("images") == "nothing has been published here\n"


def test_an_image_whose_size_is_not_known_has_none_in_the_table():
    bare = msgspec.structs.replace(ENTRY, size_bytes=None, hidden=False, links={}, problems=())
    words = images._cells(bare)
    assert words == ("tiny", "base ami", ENTRY.id, "active", "", "", "good")
    assert images._cells(msgspec.structs.replace(ENTRY, size_bytes=0))[4] == "0"
