"""What is known about a sample image because it was made so: the facts tests check against."""

from pathlib import Path
from typing import Literal

import msgspec

from bakery.lab.disk_layout import DiskLayout
from bakery.lab.sysroot import Deployment
from bakery.lab.variants import Firmware, Variant

Layout = Literal["pv", "lv", "disk"]


class PartitionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A partition: what it is for (`esp`, `boot`, `root`, `pv`) and its place in bytes."""

    role: str
    start: int
    size: int


class VolumeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The root logical volume; `segments` are (first, count) in 4 MiB extents."""

    vg: str
    lv: str
    segments: tuple[tuple[int, int], ...]


class DeploymentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An OSTree deployment and its loader entry."""

    bls_id: str
    checksum: str
    serial: int
    bootcsum: str
    kernel_args: tuple[str, ...]


class SampleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A sample image. `deployments` begin with the one a boot loader takes."""

    version: int = 1
    variant: str
    about: str
    virtual_size: int
    table: Literal["mbr", "gpt"]
    partitions: tuple[PartitionInfo, ...]
    volume: VolumeInfo | None
    root_filesystem: str
    root_uuid: str
    root_device: str
    boot_uuid: str | None
    stateroot: str | None
    deployments: tuple[DeploymentInfo, ...]
    kernel_version: str
    kernel_args: tuple[str, ...]
    bootcsum: str | None
    layouts: tuple[Layout, ...]
    firmware: Firmware | None
    password: str


def layouts_of(variant: Variant) -> tuple[Layout, ...]:
    """The forms in which the sample can be deployed and will boot."""
    return ("pv", "lv", "disk") if variant.lvm else ("lv", "disk")


def partition_infos(layout: DiskLayout) -> tuple[PartitionInfo, ...]:
    """The partitions in the order of the table."""
    return tuple(PartitionInfo(role=p.role, start=p.start, size=p.size) for p in layout.partitions)


def volume_info(variant: Variant) -> VolumeInfo | None:
    """The root volume of `variant`, where it has one."""
    if variant.lvm is None:
        return None
    return VolumeInfo(vg=variant.lvm.vg, lv=variant.lvm.lv, segments=variant.lvm.segments)


def deployment_info(deployment: Deployment) -> DeploymentInfo:
    """A deployment as the manifest holds it."""
    return DeploymentInfo(
        bls_id=deployment.bls_id,
        checksum=deployment.checksum,
        serial=deployment.serial,
        bootcsum=deployment.bootcsum,
        kernel_args=deployment.kernel_args,
    )


def load(path: Path) -> SampleInfo:
    """Read a sample's manifest."""
    return msgspec.json.decode(path.read_bytes(), type=SampleInfo)


def encode(info: SampleInfo) -> bytes:
    """A sample's manifest as JSON text."""
    return msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n"
