"""A system for arm64 out of packages made here: files in their places, and no program of it run."""

import subprocess

import pytest

from bakery.host.run import run
from bakery.samples import arm64, bootloader, debian, settings
from bakery.system import architecture

VERSION = "6.1.0-1-arm64"
MODULES = f"lib/modules/{VERSION}"


@pytest.fixture
def tree(tmp_path):
    """What debootstrap leaves of three packages, the links of a merged /usr among it."""
    found = tmp_path / "layer/tree"
    for folder in ("usr/bin", "usr/lib", "etc", "boot", "debootstrap", "var/lib/dpkg"):
        (found / folder).mkdir(parents=True)
    for name in ("bin", "lib"):
        (found / name).symlink_to(f"usr/{name}")
    files = {path: f"{path}\n" for path in arm64.COPIED}
    files["usr/share/base-passwd/passwd.master"] = (
        "root:*:0:0:root:/root:/bin/bash\nbin:*:2:2::/:/x\n"
    )
    package(found, "base", files | {"usr/share/doc/base/copyright": "long"})
    package(found, "busybox-static", {"bin/busybox": "busybox"})
    # In the order of modules.dep(5) each stands before what it needs.
    modules = {name: f"{MODULES}/kernel/{name}.ko" for name in (*arm64.DISK_MODULES, "jbd2")}
    package(found, "linux", {path: f"{path}\n" for path in modules.values()})
    return found


def package(tree, name: str, files: dict[str, str]) -> None:
    """A package of that name, in apt's cache."""
    content = tree.parent / name
    for path, text in files.items():
        (content / path).parent.mkdir(parents=True, exist_ok=True)
        (content / path).write_text(text)
    (content / "DEBIAN").mkdir()
    (content / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: arm64\nMaintainer: a <a@b>\nDescription: d\n"
    )
    archives = tree / "var/cache/apt/archives"
    archives.mkdir(parents=True, exist_ok=True)
    run(["dpkg-deb", "--build", "-Znone", content, archives / f"{name}.deb"])


@pytest.fixture
def unpacked(tree, tmp_path, monkeypatch):
    """The tree with its packages; the modules' needs and GRUB's program are the test's own."""

    def depmod(argv, **_options):
        if argv[0] != "depmod":
            return run(argv, **_options)
        (tree / MODULES / "modules.dep").write_text(
            "".join(f"kernel/{name}.ko:\n" for name in (*arm64.DISK_MODULES[:-1], "jbd2"))
            + "kernel/ext4.ko: kernel/jbd2.ko kernel/crc32c_generic.ko\n"
        )
        return None

    (tree / "etc/systemd/network").mkdir(parents=True)
    (tree / "etc/pam.d").mkdir()
    monkeypatch.setattr(arm64, "run", depmod)
    monkeypatch.setattr(bootloader, "write_program", lambda path, *_: path.write_bytes(b"GRUB"))
    arm64.unpack(tree, tmp_path)
    return tree


def test_packages_are_unpacked_through_the_links_of_a_merged_usr(unpacked):
    assert (unpacked / "bin").is_symlink()
    assert (unpacked / "usr/bin/busybox").read_text() == "busybox"
    assert not (unpacked / "usr/share/doc/base/copyright").exists()
    assert not (unpacked / "debootstrap").exists()
    assert not list(unpacked.glob("var/cache/apt/archives/*.deb"))


def test_the_database_calls_each_package_unpacked(unpacked):
    told = run(["dpkg-query", f"--admindir={unpacked}/var/lib/dpkg", "--show",
                "--showformat=${Package} ${db:Status-Status} ${Architecture}\n"]).text  # fmt: skip
    assert told.splitlines() == [
        f"{name} unpacked arm64" for name in ("base", "busybox-static", "linux")
    ]


def test_root_has_the_password_of_all_samples_and_nobody_else_has_one(unpacked):
    root, other = (unpacked / "etc/shadow").read_text().splitlines()
    secret = root.split(":")[1]
    _, kind, salt, _ = secret.split("$")
    words = ["openssl", "passwd", f"-{kind}", "-salt", salt, settings.SAMPLE_PASSWORD]
    assert run(words).text.strip() == secret
    assert other.startswith("bin:*:")
    assert (unpacked / "etc/shadow").stat().st_mode & 0o777 == 0o640
    assert (unpacked / "etc/passwd").read_text().startswith("root:x:0:0:")


def test_the_initramfs_loads_a_module_after_those_it_needs(unpacked):
    names = [name for name in arm64.initramfs(unpacked) if name.startswith("modules/")]
    loaded = [name.partition("-")[2] for name in sorted(names)]
    assert sorted(loaded) == sorted(f"{name}.ko" for name in (*arm64.DISK_MODULES, "jbd2"))
    assert loaded.index("jbd2.ko") < loaded.index("ext4.ko")
    assert loaded.index("crc32c_generic.ko") < loaded.index("ext4.ko")
    archive = (unpacked / f"boot/initrd.img-{VERSION}").read_bytes()
    listed = subprocess.run(
        ["cpio", "-t", "--quiet"], input=archive, capture_output=True, check=True
    )
    assert {b"init", b"busybox", b"dev/console"} <= set(listed.stdout.split())


def test_the_init_is_a_program_for_a_shell(tmp_path):
    script = tmp_path / "init"
    script.write_text(arm64.INIT)
    run(["busybox", "sh", "-n", script])


def test_a_change_of_the_packages_is_another_layer(monkeypatch):
    before = arm64.recipe()
    monkeypatch.setattr(arm64, "INCLUDED", (*arm64.INCLUDED, "nano"))
    assert arm64.recipe() != before


def test_packages_are_downloaded_for_arm64(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(debian, "download", lambda *words: asked.append(words))
    arm64.fetch(tmp_path)
    assert asked == [(tmp_path, "arm64", arm64.INCLUDED)]


def test_the_processor_of_grubs_program_is_that_of_its_kind(tmp_path):
    kind = bootloader.X86_64
    bootloader.write_program(tmp_path / "x", kind, bootloader.GRUB_MODULES / kind.grub_format)
    assert architecture.of_program((tmp_path / "x").read_bytes()) == "x86_64"
