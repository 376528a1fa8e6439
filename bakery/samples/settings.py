"""What makes the packages one machine: name, password, and units fit for a slow processor."""

from pathlib import Path

from bakery.samples.enclosure import run_inside

VERSION = 1
SAMPLE_PASSWORD = "bakery"  # noqa: S105 - root's password in every sample image, on purpose
HOSTNAME = "atomic"

# First-boot rebuilds of caches that the packages already ship, timers for a machine that lives
# for weeks, event monitoring for snapshots nobody takes, and mounts for debugging: seconds to
# minutes without KVM.
MASKED_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "ldconfig.service",
    "lvm2-monitor.service",
    "modprobe@drm.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-networkd-wait-online.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-pstore.service",
)
# Generators run before every boot (systemd.generator(7)); these make units from encrypted disks,
# hibernation and init scripts, of which there are none.
MASKED_GENERATORS = (
    "systemd-cryptsetup-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-veritysetup-generator",
)

# Whoever talks to the console is a program more often than not, and escape sequences around
# every command only get in its way.
READLINE = "set enable-bracketed-paste off\n"

NETWORK = """\
# DHCP on every wired port; nothing waits for an answer.
[Match]
Type=ether

[Network]
DHCP=yes
"""


def recipe() -> list[object]:
    """What decides the settings."""
    masked = (MASKED_UNITS, MASKED_GENERATORS)
    return ["settings", VERSION, SAMPLE_PASSWORD, HOSTNAME, masked, READLINE, NETWORK]


def apply(tree: Path) -> None:
    """Settle `tree` as the sample machine, with programs of its own."""
    write(tree)
    run_inside(tree, ["systemctl", "enable", "systemd-networkd.service"])
    # Debian's default hash is made to be slow, and takes seconds without KVM.
    password = f"root:{SAMPLE_PASSWORD}\n".encode()
    run_inside(tree, ["chpasswd", "--crypt-method", "SHA512"], stdin=password)


def write(tree: Path) -> None:
    """Write what needs no program of the tree's: names, the network's settings, masks.

    The login on the serial console needs no unit enabled: systemd starts one for the console=
    argument (systemd-getty-generator(8)).
    """
    etc = tree / "etc"
    (etc / "hostname").write_text(f"{HOSTNAME}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n")
    (etc / "machine-id").write_text("")  # filled at first boot (machine-id(5))
    (etc / "systemd/network/80-wired.network").write_text(NETWORK)
    with (etc / "inputrc").open("a") as inputrc:
        inputrc.write(READLINE)
    mask(tree, MASKED_UNITS)
    _mask(etc / "systemd/system-generators", MASKED_GENERATORS)


def mask(tree: Path, units: tuple[str, ...]) -> None:
    """Keep these units from being started (systemctl(1), `mask`)."""
    _mask(tree / "etc/systemd/system", units)


def _mask(directory: Path, names: tuple[str, ...]) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        mask = directory / name
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
