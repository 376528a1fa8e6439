"""What bakery-netboot adds to diskimage-builder's shell, in a shell that has its two functions."""

import subprocess
from pathlib import Path

import pytest

from tests.elements import dib

ADDED = dib.ELEMENTS / "bakery-netboot/block-device.d/after_image.bash"
# As disk-image-create ends: each image is finished, then the folder they were made in goes.
SHELL = """
set -eE
trap 'echo interrupted' EXIT
finish_image() {{ echo "finished $1"; }}
cleanup_image_dir() {{ echo cleaned; }}
BAKERY={bakery} BAKERY_BUILD_OPTIONS={options} IMAGE_NAME=out/host
source {added}
{images}
cleanup_image_dir
trap EXIT
echo ended
"""


@pytest.fixture
def shell(tmp_path: Path):
    """`shell(images…)` → exit code and lines; bakery says its words, and ends with `code`."""

    def run(*images: str, code: int = 0, options: str = "''") -> tuple[int, list[str]]:
        bakery = tmp_path / "bakery"
        bakery.write_text(f'#!/bin/sh\necho "bakery $*"\nexit {code}\n')
        bakery.chmod(0o755)
        calls = "\n".join(f"finish_image {image}" for image in images)
        text = SHELL.format(bakery=bakery, options=options, added=ADDED, images=calls)
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    return run


BUILD = "bakery build out/host.qcow2 --output out/host.build --name host"


def test_the_image_is_built_when_all_is_cleaned_up(shell):
    lines = ["finished out/host.qcow2", "cleaned", BUILD, "ended"]
    assert shell("out/host.qcow2") == (0, lines)


def test_of_several_images_the_first_is_built(shell):
    _, lines = shell("out/host.tgz", "out/host.qcow2", "out/host.raw")
    assert [line for line in lines if line.startswith("bakery")] == [BUILD]


def test_options_are_words(shell):
    _, lines = shell("out/host.qcow2", options="'--layout lv'")
    assert f"{BUILD} --layout lv" in lines


def test_a_build_that_fails_ends_it_and_is_not_cleaned_up_twice(shell):
    assert shell("out/host.qcow2", code=1) == (1, ["finished out/host.qcow2", "cleaned", BUILD])


def test_without_an_image_nothing_is_built(shell):
    assert shell() == (0, ["cleaned", "ended"])


def test_a_diskimage_builder_of_another_make_is_refused():
    done = subprocess.run(["bash", "-c", f"source {ADDED}"], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"has no finish_image" in done.stderr
