"""What cannot run is told before a node is touched."""

from uuid import UUID

import msgspec
import pytest

from bakery.bmc.access import IpmiAccess
from bakery.conductor.messages import NodeSpec
from bakery.conductor.processors import of_build, refuse_others
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build
from tests.conductor import builds

ARM = bytes(56) + b"ARM\x64" + bytes(100)
NODE = NodeSpec("node-1", UUID(int=1), "52:54:00:4c:00:01", IpmiAccess("", 0, "", ""), "/log")


@pytest.fixture
def build(tmp_path):
    return builds.build(tmp_path / "build")


def of(build: Build, processor: str) -> Build:
    changed = msgspec.structs.replace(build.manifest, architecture=processor)
    return msgspec.structs.replace(build, manifest=changed)


def node(processor: str) -> NodeSpec:
    return msgspec.structs.replace(NODE, processor=processor)


def test_a_build_is_for_what_its_manifest_or_its_kernel_says(build):
    assert of_build(build) == ""
    build.kernel.write_bytes(ARM)
    assert of_build(build) == "aarch64"
    assert of_build(of(build, "x86_64")) == "x86_64"


@pytest.mark.parametrize(
    ("image", "machine", "refused"),
    [
        ("aarch64", "x86_64", True),
        ("x86_64", "aarch64", True),
        ("x86_64", "x86_64", False),
        ("i686", "x86_64", False),
        ("", "x86_64", False),
        ("aarch64", "", False),
    ],
)
def test_an_image_of_another_processor_is_refused(build, tmp_path, image, machine, refused):
    nodes = [node(""), node(machine)]
    if not refused:
        refuse_others(of(build, image), tmp_path, nodes)
        return
    with pytest.raises(BakeryError, match=f"node-1 .*{machine}, but the image is for {image}"):
        refuse_others(of(build, image), tmp_path, nodes)


def test_a_ramdisk_of_another_processor_is_refused(build, tmp_path):
    (tmp_path / "deploy-kernel").write_bytes(ARM)
    with pytest.raises(BakeryError, match="the deploy ramdisk is for aarch64"):
        refuse_others(build, tmp_path, [node("x86_64")])
    with pytest.raises(BakeryError, match="for x86_64, but the deploy ramdisk for aarch64") as told:
        refuse_others(of(build, "x86_64"), tmp_path, [NODE])
    assert "bakery ramdisk" in told.value.hint
    refuse_others(of(build, "aarch64"), tmp_path, [node("aarch64")])
