"""Finished builds small enough to boot in a second."""

from pathlib import Path
from typing import Any

from bakery.manifest import manifest
from bakery.manifest.manifest import Artifact, Build, Deployment, Manifest, Source

MIB = 1 << 20


def make(folder: Path, base: bytes, **fields: Any) -> Build:
    """Write a build whose base holds `base`, and no kernel or ramdisk worth the name."""
    folder.mkdir(parents=True, exist_ok=True)
    nothing = Artifact(size_bytes=0, digest="", sha256="")
    defaults: dict[str, Any] = {
        "bakery_version": "0",
        "name": "tiny",
        "layout": "disk",
        "engine": "direct",
        "source": Source("tiny.qcow2", "qcow2", MIB, ""),
        "partition": None,
        "lvm": None,
        "root_filesystem": None,
        "deployment": Deployment("tiny", "0"),
        "kernel_args": ("console=ttyS0",),
        "firmware": ("bios",),
        "architecture": "x86_64",
        "artifacts": {"kernel": nothing, "ramdisk": nothing, "base": nothing},
        "tools": {},
        "key": "",
    }
    record = Manifest(**(defaults | fields))
    for name in ("kernel", "ramdisk"):
        (folder / f"tiny-{name}").write_bytes(b"")
    (folder / "tiny-base").write_bytes(base.ljust(MIB, b"\0"))
    (folder / "tiny.manifest.json").write_bytes(manifest.encode(record))
    return manifest.load(folder)
