"""What is wrong with the virtual nodes: sizes, consoles, firmware."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from bakery.devstack import host, localconf, settings, sources
from bakery.devstack.finding import Finding
from bakery.devstack.subject import Rule, Subject

HOMES = ("/home", "/root")
SHARED = ("/", "/tmp", "/var", "/var/log", "/var/tmp", "/opt", "/opt/stack", "/opt/stack/logs")  # noqa: S108 - folders that are refused
YES = ("1", "yes", "true")
DEFAULT_GLANCE_LIMIT_MIB = 1000
"""GLANCE_LIMIT_IMAGE_SIZE_TOTAL, from Xena on (devstack: lib/glance); 2000 in the newest."""


def made(subject: Subject) -> Iterator[Finding]:
    """devstack makes nodes only where it is told so."""
    if subject.localrc.text("IRONIC_BAREMETAL_BASIC_OPS").lower() not in YES:
        yield Finding.error(
            *("no-nodes", subject.localrc.line("IRONIC_BAREMETAL_BASIC_OPS")),
            "devstack creates no nodes",
            "IRONIC_BAREMETAL_BASIC_OPS=True",
        )


def sizes(subject: Subject) -> Iterator[Finding]:
    """Numbers that are numbers, memory that the machine has, and disks the base fits on."""
    if subject.localrc.text("IRONIC_IS_HARDWARE").lower() in YES:
        return
    defaults = {
        "IRONIC_VM_COUNT": 1,
        "IRONIC_VM_SPECS_RAM": settings.node_memory_mib(subject.release),
        "IRONIC_VM_SPECS_DISK": settings.NODE_DISK_GIB,
    }
    numbers = []
    for name, default in defaults.items():
        text = subject.localrc.text(name, str(default))
        if not (text.isascii() and text.isdigit() and int(text[:12])):
            yield Finding.error(
                *("number", subject.localrc.line(name), f"{name} is not a number: {text!r}")
            )
            return
        numbers.append(int(text[:12]))
    count, memory_mib, disk_gib = numbers
    for level, says in host.memory_faults(subject.host, count, memory_mib):
        found = Finding.error if level == "error" else Finding.warning
        yield found(
            *("memory", subject.localrc.line("IRONIC_VM_COUNT"), says),
            "fewer nodes (IRONIC_VM_COUNT) or less memory each (IRONIC_VM_SPECS_RAM)",
        )
    base = subject.build.artifacts["base"].size_bytes if subject.build else 0
    if base > disk_gib * host.GIB:
        yield Finding.error(
            *("disk", subject.localrc.line("IRONIC_VM_SPECS_DISK")),
            f"the base has {base} bytes, too many for a disk of {disk_gib} GiB",
            f"IRONIC_VM_SPECS_DISK={-(-(base + settings.SPARE_DISK_BYTES) // host.GIB)}",
        )


def consoles(subject: Subject) -> Iterator[Finding]:
    """Where libvirt writes the consoles as a user of its own, and what stack.sh empties.

    libvirt could not write to a folder below the home one; the plugin removes all that is in the
    folder when it installs itself (ironic: devstack/lib/ironic, cleanup_ironic_config_files).
    """
    name = "IRONIC_VM_LOG_DIR"
    line = subject.localrc.line(name)
    value = subject.localrc.values.get(name)
    text = value.text if value else subject.localrc.text("DEST", "/opt/stack")
    folder = PurePosixPath(text)
    if text.startswith(("~", "$HOME", "${HOME}")) or any(map(folder.is_relative_to, HOMES)):
        yield Finding.error(
            *("console-folder", line or subject.localrc.line("DEST")),
            f"libvirt's own user cannot write the nodes' consoles below {text}",
            f"{name}={settings.LOG_FOLDER}",
        )
    elif value and str(folder) in SHARED:
        yield Finding.error(
            *("console-folder", line),
            f"stack.sh deletes everything in {text}",
            f"{name}={settings.LOG_FOLDER}",
        )


def firmware(subject: Subject) -> Iterator[Finding]:
    """IRONIC_BOOT_MODE against what the image boots by."""
    name = "IRONIC_BOOT_MODE"
    own = "uefi" if sources.at_least(subject.release, "yoga") else "bios"
    mode = subject.localrc.text(name, own)
    line = subject.localrc.line(name)
    if mode not in ("bios", "uefi"):
        yield Finding.error("boot-mode", line, f"{name} must be bios or uefi, not {mode!r}")
    elif line and not sources.at_least(subject.release, "ocata"):
        yield Finding.error("boot-mode", line, f"devstack reads {name} only from Ocata on")
    elif subject.build and subject.build.firmware and mode not in subject.build.firmware:
        boots = " or ".join(subject.build.firmware)
        yield Finding.error(
            *("boot-mode", line, f"the nodes boot by {mode}, the image by {boots}"),
            f"{name}={subject.build.firmware[0]}",
        )


def glance(subject: Subject) -> Iterator[Finding]:
    """Glance's limit for a project's images."""
    if not subject.build or not sources.at_least(subject.release, "xena"):
        return
    name = "GLANCE_LIMIT_IMAGE_SIZE_TOTAL"
    text = subject.localrc.text(name, str(DEFAULT_GLANCE_LIMIT_MIB))
    total = sum(artifact.size_bytes for artifact in subject.build.artifacts.values())
    if text.isascii() and text.isdigit() and total > int(text[:12]) * host.MIB:
        yield Finding.error(
            *("glance-limit", subject.localrc.line(name)),
            f"the build has {total} bytes, but Glance allows {text} MiB per project",
            f"{name}={localconf.image_limit_mib(subject.build)}",
        )


RULES: tuple[Rule, ...] = (made, sizes, consoles, firmware, glance)
