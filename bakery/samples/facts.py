"""What is known about a sample image because it was made so: the facts tests check against."""

from pathlib import Path
from typing import Literal

import msgspec

from bakery.manifest.manifest import Layout
from bakery.samples.disk_layout import Partition
from bakery.samples.sysroot import Deployment
from bakery.samples.variants import Architecture, Firmware, LogicalVolume, Variant


class SampleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A sample image. `deployments` begin with the one a boot loader takes."""

    version: int = 1
    variant: str
    about: str
    virtual_size: int
    table: Literal["mbr", "gpt"]
    partitions: tuple[Partition, ...]
    volume: LogicalVolume | None
    root_filesystem: str
    root_uuid: str
    root_device: str
    boot_uuid: str | None
    stateroot: str | None
    deployments: tuple[Deployment, ...]
    kernel_version: str
    kernel_args: tuple[str, ...]
    bootcsum: str | None
    layouts: tuple[Layout, ...]
    firmware: Firmware | None
    password: str
    architecture: Architecture = "x86_64"


def layouts_of(variant: Variant) -> tuple[Layout, ...]:
    """The forms in which the sample can be deployed and will boot."""
    return ("pv", "lv", "disk") if variant.lvm else ("lv", "disk")


def load(path: Path) -> SampleInfo:
    """Read a sample's manifest."""
    return msgspec.json.decode(path.read_bytes(), type=SampleInfo)


def encode(info: SampleInfo) -> bytes:
    """A sample's manifest as JSON text."""
    return msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n"
