"""A build's files before a node may have them: what they are checked for."""

import os
from pathlib import Path

import pytest

from bakery.conductor.checked import checked
from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from tests.conductor.builds import build, with_packed_base


def spoilt(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def files(folder: Path, *, direct: bool) -> list[Path]:
    made = with_packed_base(build(folder))
    base = made.base.with_name(f"{made.base.name}.zst") if direct else made.base
    return [made.kernel, made.ramdisk, base]


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_file_that_is_not_what_its_digest_says_is_never_served(tmp_path, number, direct):
    path = files(tmp_path / "b", direct=direct)[number]
    made = manifest.load(tmp_path / "b")
    assert checked(made, direct=direct)(path).path == path
    spoilt(path)
    with pytest.raises(BakeryError, match=f"{path.name} is not what its manifest says"):
        checked(made, direct=direct)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_link_is_refused_though_what_it_leads_to_is_right(tmp_path, number, direct):
    path = files(tmp_path / "b", direct=direct)[number]
    made = manifest.load(tmp_path / "b")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BakeryError, match=r"a link, to|not a regular file"):
        checked(made, direct=direct)


def test_what_was_checked_is_what_is_opened(tmp_path):
    path = files(tmp_path / "b", direct=False)[0]
    encrypted = checked(manifest.load(tmp_path / "b"), direct=False)(path)
    spoilt(path)
    with pytest.raises(BakeryError, match="has changed since it was checked"):
        encrypted.open()
