"""Whether build, deploy ramdisk and nodes are of one processor: told before a node is touched."""

from collections.abc import Iterable
from pathlib import Path

from bakery.conductor.messages import NodeSpec
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened
from bakery.manifest.manifest import Build
from bakery.node.ramdisk.make import KERNEL
from bakery.system import architecture


def refuse_others(build: Build, ramdisk_folder: Path, nodes: Iterable[NodeSpec]) -> None:
    """BakeryError where one cannot run the other; what is not known of either speaks for nothing.

    The ramdisk's kernel runs on the node before the image's does, so it has to be one that does.
    """
    image, ramdisk = of_build(build), _of_file(ramdisk_folder / KERNEL)
    for node in nodes:
        for what, processor in (("the image", image), ("the deploy ramdisk", ramdisk)):
            if not architecture.runs(processor, node.processor):
                raise BakeryError(
                    f"{node.name} is a machine for {node.processor}, but {what} is for {processor}",
                    "no node was touched",
                )
    if not architecture.runs(image, ramdisk):
        raise BakeryError(
            f"the image is for {image}, but the deploy ramdisk for {ramdisk}",
            f"make one of an {image} system: bakery ramdisk --root DIR",
        )


def of_build(build: Build) -> str:
    """The processor a build is for, by its manifest or its kernel; empty where neither tells."""
    if build.manifest.architecture or "kernel" not in build.manifest.artifacts:
        return build.manifest.architecture
    return _of_file(build.kernel)


def _of_file(path: Path) -> str:
    """The processor of a kernel's file; empty also where it is missing, which others say."""
    if not path.exists():
        return ""
    with opened(path) as kernel:
        return architecture.of_kernel(kernel.read(architecture.HEAD_BYTES))
