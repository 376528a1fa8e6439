"""grubenv, read and changed, against grub-editenv."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system.grub import environment
from bakery.system.grub.environment import SIGNATURE, parse_environment

VALUES = {"saved_entry": "a>b c", "kernelopts": "root=UUID=1 ro x=\\y", "empty": ""}


def made(path: Path, values: dict[str, str]) -> bytes:
    subprocess.run(["grub-editenv", path, "create"], check=True)
    pairs = [f"{name}={value}" for name, value in values.items()]
    subprocess.run(["grub-editenv", path, "set", *pairs], check=True)
    return path.read_bytes()


def listed(path: Path) -> dict[str, str]:
    done = subprocess.run(
        ["grub-editenv", path, "list"], check=True, capture_output=True, text=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_a_block_as_grub_editenv_writes_it(tmp_path: Path) -> None:
    block = made(tmp_path / "grubenv", VALUES)
    assert len(block) == 1024
    assert parse_environment(block) == VALUES


def test_each_value_is_told_with_its_place(tmp_path: Path) -> None:
    block = made(tmp_path / "grubenv", VALUES)
    found = {one.name: block[one.start : one.end] for one in environment.read(block)}
    assert found["saved_entry"] == b"a>b c"
    assert found["kernelopts"] == b"root=UUID=1 ro x=\\\\y"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernelopts", "root=UUID=2 ro quiet"),
        ("saved_entry", ""),
        ("new", "a\\b"),
        ("empty", "x" * 99),
    ],
)
def test_a_changed_block_is_read_by_grub(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "grubenv"
    block = environment.changed(made(path, VALUES), name, value)
    assert len(block) == 1024
    path.write_bytes(block)
    assert listed(path) == VALUES | {name: value}
    assert parse_environment(block) == VALUES | {name: value}


def test_a_block_without_room_is_left_alone(tmp_path: Path) -> None:
    block = made(tmp_path / "grubenv", {"a": "1"})
    assert parse_environment(environment.changed(block, "b", "x" * 900))["b"] == "x" * 900
    with pytest.raises(BakeryError, match="no room for b"):
        environment.changed(block, "b", "x" * 1000)


def test_comments_and_a_torn_end_are_passed_over() -> None:
    text = b"# GRUB Environment Block\n# WARNING: Do not edit\na=1\nb=2\\\nc\nd=torn"
    assert parse_environment(text) == {"a": "1", "b": "2\nc"}


@pytest.mark.parametrize("text", [b"", b"a=1\n", SIGNATURE + b"#" * (1 << 20)])
def test_what_is_no_block_is_refused(text: bytes) -> None:
    with pytest.raises(BakeryError, match="environment block"):
        parse_environment(text)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_block(tail: bytes) -> None:
    found = parse_environment(SIGNATURE + tail)
    assert all(isinstance(name, str) and name for name in found)
