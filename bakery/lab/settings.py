"""What makes the packages one machine: name, password, and units fit for a slow processor."""

from pathlib import Path

from bakery.lab.enclosure import run_inside

VERSION = 1
SAMPLE_PASSWORD = "bakery"  # noqa: S105 - root's password in every sample image, on purpose
HOSTNAME = "atomic"

# First-boot rebuilds of caches that the packages already ship, timers for a machine that lives
# for weeks, and event monitoring for snapshots nobody takes: seconds to minutes without KVM.
MASKED_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "ldconfig.service",
    "lvm2-monitor.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
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
    return ["settings", VERSION, SAMPLE_PASSWORD, HOSTNAME, MASKED_UNITS, READLINE, NETWORK]


def apply(tree: Path) -> None:
    """Settle `tree` as the sample machine.

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
    for unit in MASKED_UNITS:
        mask = etc / "systemd/system" / unit
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
    run_inside(tree, ["systemctl", "enable", "systemd-networkd.service"])
    run_inside(tree, ["chpasswd"], stdin=f"root:{SAMPLE_PASSWORD}\n".encode())
