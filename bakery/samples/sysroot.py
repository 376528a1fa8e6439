"""The OSTree system on its disk: stateroot, deployments, and their fstab."""

import re
from dataclasses import dataclass
from pathlib import Path

from bakery.host.run import run
from bakery.samples.variants import CONSOLE_ARGS, Variant

REF = "sample/x86_64/docker-host"
BOOT_LINK = re.compile(r"ostree=(/ostree/boot\.[01]/[^/ ]+/(?P<bootcsum>[0-9a-f]{64})/\d+)")


@dataclass(frozen=True)
class Deployment:
    """One deployment as its loader entry describes it."""

    bls_id: str
    checksum: str
    serial: int
    bootcsum: str
    kernel_args: tuple[str, ...]


def deploy_releases(
    root: Path,
    layer: Path,
    releases: tuple[str, ...],
    variant: Variant,
    root_device: str,
    fstab: str,
) -> list[Deployment]:
    """Deploy `releases` of the repository in `layer`, in that order, under `root`.

    /boot is mounted at `root/boot`. The fstab goes into the first deployment's /etc, as an
    installer leaves it; an upgrade carries it on. The default deployment comes first.
    """
    assert variant.stateroot is not None
    run(["ostree", "admin", "init-fs", root])
    run(["ostree", "admin", "os-init", f"--sysroot={root}", variant.stateroot])
    run(
        ["ostree", f"--repo={root}/ostree/repo", "pull-local", layer / "repo", *releases],
        timeout=600,
    )
    for release in releases:
        _deploy(root, release, variant.stateroot, root_device)
        if release == releases[0]:
            (deployment,) = (root / "ostree/deploy" / variant.stateroot / "deploy").glob("*.0")
            (deployment / "etc/fstab").write_text(fstab)
    for release in releases:
        run(["ostree", f"--repo={root}/ostree/repo", "refs", "--delete", release])
    for name in variant.var_directories:
        (root / "ostree/deploy" / variant.stateroot / "var" / name).mkdir(parents=True)
    return read_deployments(root)


def read_deployments(root: Path) -> list[Deployment]:
    """What the loader entries under `root/boot` say, the one a boot loader takes first."""
    entries = (root / "boot/loader/entries").glob("*.conf")
    fields = {entry.stem: parse_entry(entry.read_text()) for entry in entries}
    names = sorted(fields, key=lambda name: int(fields[name]["version"]), reverse=True)
    return [_deployment(root, name, fields[name]["options"]) for name in names]


def _deployment(root: Path, bls_id: str, options: str) -> Deployment:
    """The deployment that a loader entry's ostree= argument leads to."""
    link = BOOT_LINK.search(options)
    assert link is not None
    directory = (root / link[1].lstrip("/")).resolve()
    checksum, serial = directory.name.rsplit(".", 1)
    return Deployment(bls_id, checksum, int(serial), link["bootcsum"], tuple(options.split()))


def parse_entry(text: str) -> dict[str, str]:
    """The fields of a loader entry this program itself has had written."""
    pairs = (line.partition(" ") for line in text.splitlines())
    return {key: value.strip() for key, _, value in pairs if key}


def _deploy(root: Path, release: str, stateroot: str, root_device: str) -> None:
    """Deploy one release under the ref the system would follow for upgrades."""
    repo = f"--repo={root}/ostree/repo"
    run(["ostree", repo, "refs", "--force", f"--create={REF}", release])
    args = [*CONSOLE_ARGS, f"root={root_device}"]
    first = not any((root / "ostree/deploy" / stateroot / "deploy").glob("*.0"))
    words = [f"--karg={arg}" for arg in args] if first else ["--retain"]
    run(
        ["ostree", "admin", "deploy", f"--sysroot={root}", f"--os={stateroot}", *words, REF],
        timeout=600,
    )
