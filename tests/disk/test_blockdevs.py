"""Block devices as QEMU is told them: every driver named, nothing followed."""

import json
from pathlib import Path

import pytest

from bakery.disk import blockdevs

FILE = {"driver": "file", "filename": "/a"}


@pytest.mark.parametrize("kind", ["qcow2", "qcow", "qed", "vmdk"])
def test_an_image_that_can_name_another_reads_from_none(kind: str):
    told = blockdevs.image(Path("/a"), kind)
    assert told == {"driver": kind, "file": FILE, "backing": None}


@pytest.mark.parametrize("kind", ["raw", "vpc", "vhdx", "vdi"])
def test_to_the_others_that_is_not_said(kind: str):
    assert blockdevs.image(Path("/a"), kind) == {"driver": kind, "file": FILE}


def test_an_overlay_lies_over_what_it_is_told_and_a_window_in_it():
    over = blockdevs.overlay(Path("/a"), blockdevs.image(Path("/b"), "raw"))
    assert over["file"] == FILE
    assert over["backing"]["file"]["filename"] == "/b"
    part = blockdevs.window(over, 512, 1024)
    assert part == {"driver": "raw", "offset": 512, "size": 1024, "file": over}
    assert json.loads(blockdevs.name(part).removeprefix("json:")) == part
