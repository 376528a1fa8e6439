import io

import pytest

from bakery.cli import images
from bakery.cloud.health import Entry

ENTRY = Entry(
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
    odd = Entry(
        **{field: getattr(ENTRY, field) for field in ENTRY.__struct_fields__}
        | {"name": "[bold]\x1b[31mx", "problems": ()}
    )
    text = images._table([odd])
    assert "[bold]\N{REPLACEMENT CHARACTER}[31mx" in text
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
