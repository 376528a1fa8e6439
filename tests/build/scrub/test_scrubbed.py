"""Secrets put into real systems: all told of, all gone from the bytes, all back, and it boots.

Appliances take their time, so each sample is planted, scrubbed and restored once, and looked at
by many tests.
"""

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bakery.manifest import manifest
from tests.build.scrub import planted
from tests.build.scrub.planted import Secret
from tests.conductor.targets import until
from tests.conftest import BAKERY, Bakery, Sample

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("scrub")]

MIB = 1 << 20
ROOTS = {"default": "/dev/atomicos/root", "plain": "/dev/sda1", "plain-kept": "/dev/sda1"}
# What is taken out of these is kept in an archive, which takes appliances. The direct engine scrubs
# `plain` without one; that an appliance does it as well on ext4 is seen where it is killed.
KEPT = ["default", pytest.param("plain-kept", marks=pytest.mark.full)]
FREE_EXTENT = 5 << 30  # in the default sample's physical volume, behind its one logical volume


@dataclass
class Case:
    """A sample with secrets in it, and what became of it."""

    folder: Path
    root: str
    prefixes: dict[str, str]
    secrets: list[Secret]
    lost: list[Secret]
    """Secrets that no file held any more before anybody scrubbed."""
    told: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    """What the scrub said with `-v`."""

    @property
    def image(self) -> Path:
        return self.folder / "image.qcow2"

    @property
    def scrubbed(self) -> Path:
        return self.folder / "scrubbed.qcow2"

    @property
    def restored(self) -> Path:
        return self.folder / "restored.qcow2"

    def marks(self, image: Path) -> set[bytes]:
        """The secrets whose bytes are anywhere on the disk an image is."""
        raw = self.folder / "disk.raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True, timeout=600)
        found = planted.marks_in(raw)
        raw.unlink()
        return found & {secret.mark for secret in self.secrets + self.lost}

    def dumps(self, name: str) -> list[str]:
        """The commands that write what is in /etc, /var, /root and /home as tars."""
        places = {point: planted.placed(point, self.prefixes) for point in ("/etc", "/var")}
        if not self.prefixes:
            places |= {"/root": "/root", "/home": "/home"}
        return [
            f"tar-out {place} {self.folder}/{name}{point.replace('/', '-')}.tar xattrs:true"
            for point, place in places.items()
        ]

    def dumped(self, name: str) -> dict[str, tuple[object, ...]]:
        """What those tars say, but for the content of a swap file, which is not kept."""
        told: dict[str, tuple[object, ...]] = {}
        swaps = {Path(secret.path).name for secret in self.secrets if secret.rule == "swap"}
        for tar in sorted(self.folder.glob(f"{name}-*.tar")):
            members = planted.members(tar).items()
            told |= {f"{tar.stem}{k[1:]}": v for k, v in members if Path(k).name not in swaps}
        return {path.partition("-")[2]: member for path, member in told.items()}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and a public RSA key."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "private.pem", folder / "public.pem"
    subprocess.run(["openssl", "genrsa", "-out", private, "3072"], check=True, timeout=60)
    words: list[str | Path] = ["openssl", "rsa", "-in", private, "-pubout", "-out", public]
    subprocess.run(words, check=True, timeout=60)
    return private, public


@pytest.fixture(scope="module")
def cases(
    bakery: Bakery,
    sample: Sample,
    keys: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Case]:
    """A sample's case, made once: appliances take their time."""
    return cache(lambda name: made(name, bakery, sample, keys, tmp_path_factory.mktemp("case")))


@pytest.fixture(params=[*KEPT, "plain"])
def case(request: pytest.FixtureRequest, cases: Callable[[str], Case]) -> Case:
    return cases(request.param)


def made(name: str, bakery: Bakery, sample: Sample, keys: tuple[Path, Path], folder: Path) -> Case:
    """The sample `name`, planted and scrubbed; where an archive was kept, restored as well."""
    image = folder / "image.qcow2"
    shutil.copyfile(sample(name.removesuffix("-kept")), image)
    prefixes = deployed(bakery, image) if name == "default" else {}
    case = Case(folder, ROOTS[name], prefixes, planted.secrets(), planted.deleted())
    plant(case)
    if name == "default":
        write_raw(case, FREE_EXTENT)
    private, public = keys
    recovery = folder / "kept.age"
    kept = name != "plain"
    sealed = ("--recovery", recovery, "--public-key", public) if kept else ()
    done = bakery("scrub", image, "-o", case.scrubbed, *sealed, "--json", "-v")
    assert done.returncode == 0, done.stderr
    case.told, case.log = json.loads(done.stdout), done.stderr
    if kept:
        opened = ("--recovery", recovery, "--private-key", private)
        done = bakery("restore", case.scrubbed, "-o", case.restored, *opened, "-q")
        assert done.returncode == 0, done.stderr
        planted.guestfish(case.restored, case.root, *case.dumps("after"), write=False)
    return case


def deployed(bakery: Bakery, image: Path) -> dict[str, str]:
    """Where an OSTree image's one deployment has its /etc, its /var and its homes."""
    entry = json.loads(bakery("inspect", image, "--json").stdout)["entries"][0]
    var = f"/ostree/deploy/{entry['stateroot']}/var"
    return {"/etc": entry["etc"], "/var": var, "/home": f"{var}/home", "/root": f"{var}/roothome"}


def plant(case: Case) -> None:
    tar = case.folder / "planted.tar"
    tar.write_bytes(planted.tar_of(case.secrets + case.lost, case.prefixes))
    forgotten = planted.placed(str(Path(planted.DELETED[0]).parent), case.prefixes)
    # Until it is written out, a file that is removed leaves no bytes behind.
    commands = (f"tar-in {tar} / xattrs:true", "sync", f"rm-rf {forgotten}")
    planted.guestfish(case.image, case.root, *commands, *case.dumps("before"))


def write_raw(case: Case, offset: int) -> None:
    """Write a secret where no volume is."""
    secret = planted.deleted()[0]
    content = case.folder / "content"
    content.write_bytes((planted.MARK + secret.mark + b"\n").ljust(4096, b"\0"))
    write = f"write -s {content} {offset} 4096"
    words: list[str | Path] = ["qemu-io", "-f", "qcow2", "-c", write, case.image]
    subprocess.run(words, check=True, timeout=60)
    case.lost.append(secret)


def test_every_secret_is_told_of_by_its_rule(case: Case):
    told = {file["path"]: file["rule"] for file in case.told["files"]}
    assert len(case.secrets) >= 60
    for secret in case.secrets:
        path = planted.placed(secret.path, case.prefixes)
        above = [path, *map(str, Path(path).parents)]
        assert secret.rule in [told[p] for p in above if p in told], secret.path


def test_no_byte_of_any_is_left(case: Case):
    in_files = {secret.mark for secret in case.secrets}
    before = case.marks(case.image)
    assert in_files <= before
    assert len(before - in_files) >= len(planted.DELETED), "what was deleted was never there"
    assert case.marks(case.scrubbed) == set()


@pytest.mark.parametrize("case", KEPT, indirect=True)
def test_what_is_restored_is_what_was_there(case: Case):
    before, after = case.dumped("before"), case.dumped("after")
    assert sorted(before) == sorted(after)
    assert [path for path in before if before[path] != after[path]] == []


@pytest.mark.parametrize("case", KEPT, indirect=True)
def test_the_filesystem_is_sound(case: Case):
    """Nothing is found by its own checker, in an appliance of libguestfs'."""
    check = "e2fsck-f" if case.root == "/dev/sda1" else "xfs-repair"
    words = f"{check} {case.root}" + (" nomodify:true" if check == "xfs-repair" else "")
    argv: list[str | Path] = [
        "guestfish",
        "--ro",
        "--format=qcow2",
        "-a",
        case.scrubbed,
        "run",
        ":",
        *words.split(),
    ]
    done = subprocess.run(
        argv, env=planted.environment(), capture_output=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in (b"", b"0")


@pytest.mark.parametrize("case", ["plain"], indirect=True)
def test_without_an_archive_ext4_takes_no_appliance(case: Case):
    assert "without an appliance" in case.log
    assert "starts under" not in case.log
    raw = case.folder / "scrubbed.raw"
    words: list[str | Path] = ["qemu-img", "convert", "-O", "raw", case.scrubbed, raw]
    subprocess.run(words, check=True, timeout=600)
    check = ["e2fsck", "-fn", f"{raw}?offset={MIB}"]
    subprocess.run(check, check=True, capture_output=True, timeout=600)
    raw.unlink()


@pytest.mark.parametrize(
    "case", ["default", pytest.param("plain", marks=pytest.mark.full)], indirect=True
)
def test_it_comes_to_a_login_with_an_identity_of_its_own(case: Case, bakery: Bakery):
    """With a machine-id that systemd made, and with nothing in the way of cloud-init.

    The kernel arguments change on the way, in the files of the disk's own boot loader: GRUB's own
    configuration, or a boot entry of OSTree's.
    """
    build = case.folder / "build"
    words = ["--layout", "disk", "--karg-append", "bakery.test=yes"]
    words += ["--karg-delete", "nofb"] if case.prefixes else []
    done = bakery("build", case.scrubbed, "-o", build, "-q", *words, timeout=900)
    assert done.returncode == 0, done.stderr
    written = manifest.load(build).manifest
    assert (written.engine, written.mounted) == ("guestfs", True)
    assert written.files_changed
    assert "bakery.test=yes" in written.kernel_args
    asked = (
        "grep -cE '^[0-9a-f]{32}$' /etc/machine-id; ls -A /var/lib/cloud | wc -l; "
        "grep -cw bakery.test=yes /proc/cmdline; grep -cw nofb /proc/cmdline; exit 0"
    )
    done = bakery("prove", build, "--json", "-q", "--run", asked, timeout=1200)
    verdict = json.loads(done.stdout)
    assert verdict["reached"] == "login", verdict
    assert verdict["command"]["output"].split() == ["1", "0", "1", "0"]


@pytest.mark.parametrize("case", ["plain"], indirect=True)
def test_a_killed_run_leaves_the_image_and_the_next_ends_right(
    case: Case, bakery: Bakery, keys: tuple[Path, Path], tmp_path: Path
):
    """In place, by a copy: it is killed while things are taken out."""
    image, recovery = tmp_path / "image.qcow2", tmp_path / "kept.age"
    shutil.copyfile(case.image, image)
    digest = hashlib.sha256(image.read_bytes()).digest()
    words: list[str | Path] = ["scrub", image, "--in-place", "--json"]
    words += ["--recovery", recovery, "--public-key", keys[1]]
    with subprocess.Popen(
        [BAKERY, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as run:
        assert run.stderr is not None
        assert any(json.loads(line)["step"] == "remove" for line in run.stderr)
        overlay = tmp_path / ".image.qcow2.bakery-scrub/session/guestfs/overlay.qcow2"
        size = overlay.stat().st_size
        until(lambda: overlay.stat().st_size > size, seconds=600)  # something is being taken out
        assert run.poll() is None, "it ended before it was killed"
        run.kill()
    assert hashlib.sha256(image.read_bytes()).digest() == digest
    assert not recovery.exists()
    done = bakery(*words)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.qcow2", "kept.age"]
    assert case.marks(image) == set()
    kept = recovery.read_bytes()
    done = bakery(*words)
    assert done.returncode == 0, done.stderr
    assert recovery.read_bytes() == kept, "what was kept was written over by nothing"


@pytest.mark.parametrize("case", ["default"], indirect=True)
def test_a_wrong_key_or_an_altered_archive_leaves_the_image_as_it_is(
    case: Case, bakery: Bakery, keys: tuple[Path, Path], tmp_path: Path
):
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genrsa", "-out", other, "3072"], check=True, timeout=60)
    archive = (case.folder / "kept.age").read_bytes()
    altered = tmp_path / "altered"
    altered.write_bytes(archive[:-1] + bytes([archive[-1] ^ 1]))
    digest = hashlib.sha256(case.scrubbed.read_bytes()).digest()
    for recovery, key in ((case.folder / "kept.age", other), (altered, keys[0])):
        words = ("--recovery", recovery, "--private-key", key)
        done = bakery("restore", case.scrubbed, *words)
        assert done.returncode == 1
        assert str(recovery) in done.stderr
    assert hashlib.sha256(case.scrubbed.read_bytes()).digest() == digest


@pytest.mark.parametrize("case", ["default"], indirect=True)
def test_an_archive_is_not_restored_into_another_image(
    case: Case, bakery: Bakery, keys: tuple[Path, Path], tmp_path: Path
):
    from bakery.recovery.seal import sealing

    foreign = tmp_path / "foreign"
    with (
        sealing(foreign, keys[1]) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.addfile(tarfile.TarInfo("0000-none/etc-file"))
    done = bakery("restore", case.scrubbed, "--recovery", foreign, "--private-key", keys[0])
    assert done.returncode == 1
    assert "0000-none" in done.stderr
