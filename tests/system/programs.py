"""EFI programs for tests, made from Debian's own parts by the tools that builders use."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
SYSTEMD_BOOT = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
GRUB = Path("/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

OS_RELEASE = b'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\nVERSION_ID="12"\n'


def read_at(data: bytes) -> Callable[[int, int], bytes]:
    """Bytes as a parser reads them that is given places."""
    return lambda offset, length: data[offset : offset + length]


def of_file(path: Path) -> Callable[[int, int], bytes]:
    return read_at(path.read_bytes())


def uki(folder: Path, sections: Sequence[tuple[str, bytes]], base: Path = STUB) -> bytes:
    """A program with these sections behind its own, as UAPI.5 has objcopy add them.

    Several may have one name, as profiles do: objcopy knows no such thing, so the names are put
    into the table afterwards.
    """
    program, address, options = folder / "program.efi", 0x100000, list[str]()
    for number, (_, content) in enumerate(sections):
        part, name = folder / f"part-{number}", f".new{number:04}"
        part.write_bytes(content)
        options += ["--add-section", f"{name}={part}"]
        options += ["--change-section-vma", f"{name}={address:#x}"]
        address += (len(content) + 0x1FFF) // 0x1000 * 0x1000
    run("objcopy", *options, base, program)
    made = program.read_bytes()
    for number, (name, _) in enumerate(sections):
        made = made.replace(f".new{number:04}".encode(), name.encode().ljust(8, b"\0"), 1)
    return made


def grub_program(
    folder: Path,
    *,
    platform: str = "x86_64-efi",
    prefix: str = "/EFI/test",
    config: str | None = None,
    memdisk: Path | None = None,
    modules: Sequence[str] = (),
) -> bytes:
    """What grub-mkimage makes of these."""
    options: list[str | Path] = ["-O", platform, "-p", prefix]
    if config is not None:
        (folder / "early.cfg").write_text(config)
        options += ["-c", folder / "early.cfg"]
    options += ["-m", memdisk] if memdisk else []
    run("grub-mkimage", *options, "-o", folder / "made", *modules)
    return (folder / "made").read_bytes()


def tar(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A tar of these files, as grub-mkstandalone packs its memory disk."""
    tree = folder / "tree"
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    run("tar", "-C", tree, "--format=ustar", "-cf", folder / "memdisk.tar", *sorted_tops(tree))
    return folder / "memdisk.tar"


def sorted_tops(tree: Path) -> list[str]:
    return sorted(path.name for path in tree.iterdir())


def run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, env=ENVIRONMENT, capture_output=True)
