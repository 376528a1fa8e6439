"""The one kind of failure a user sees."""

import pytest

from bakery.host.errors import BakeryError, MissingTool, UsageError


def test_a_failure_carries_its_message_and_the_way_out():
    error = BakeryError("disk.qcow2 is empty", "download it again")
    assert (error.message, error.hint, str(error)) == (
        "disk.qcow2 is empty",
        "download it again",
        "disk.qcow2 is empty",
    )


def test_a_failure_needs_no_hint():
    assert BakeryError("no").hint == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [(BakeryError("no"), 1), (UsageError("no"), 2), (MissingTool("qemu-img"), 1)],
)
def test_each_kind_of_failure_has_its_exit_code(error, code):
    assert isinstance(error, BakeryError)
    assert error.exit_code == code


def test_a_missing_tool_is_named():
    error = MissingTool("qemu-img", "sudo apt-get install qemu-utils")
    assert "'qemu-img' is not installed" in error.message
    assert error.hint == "sudo apt-get install qemu-utils"
