"""Makes the physical volumes of this folder: with lvm2 and loop devices, as root.

Run it as `python -m tests.disk.volumes.pvs.make`. The files differ from run to run in their
identifiers and times alone.
"""

import struct
from pathlib import Path

from bakery.host.run import run
from tests.disk.volumes.loops import devices
from tests.disk.volumes.pvs import HERE, SIZE_BYTES


def lvm(*words: str) -> None:
    """One LVM2 command, on this machine's loop devices alone, without device-mapper."""
    config = 'devices { filter = [ "a|/dev/loop|", "r|.*|" ] } backup { backup = 0 archive = 0 }'
    run(["lvm", words[0], "--driverloaded", "n", "--config", config, *words[1:]])


def group(*devs: str, name: str = "atomicos", copies: str = "1", data_at: str = "1m") -> None:
    for dev in devs:
        words = ("--metadatacopies", copies, "--metadatasize", "4k", "--dataalignment", data_at)
        lvm("pvcreate", "-y", *words, dev)
    lvm("vgcreate", "-s", "1m", name, *devs)


def volume(*words: str) -> None:
    lvm("lvcreate", "-an", "-Zn", "-Wn", "-y", *words)


def runs_over_the_end(device: Path) -> bool:
    """Whether the text of the first metadata area continues at the area's beginning."""
    with device.open("rb") as file:
        file.seek(4096)
        header = file.read(512)
    (size,) = struct.unpack_from("<Q", header, 32)
    offset, length = struct.unpack_from("<QQ", header, 40)
    return bool(offset + length > size)


def main() -> None:
    with devices(HERE, SIZE_BYTES, "split") as (one,):
        group(one)
        volume("-l", "4", "-n", "root", "atomicos", f"{one}:0-1", f"{one}:6-7")
        volume("-l", "2", "-n", "docker-pool", "atomicos", f"{one}:2-3")
    with devices(HERE, SIZE_BYTES, "copies") as (one,):
        group(one, name="cah-vg0", copies="2")
        volume("-l", "3", "-n", "sys-root", "cah-vg0")
    with devices(HERE, SIZE_BYTES, "ring") as (one,):
        group(one, data_at="64k")
        volume("-l", "3", "-n", "root", "atomicos")
        for number in range(200):
            names = ("root", "other") if number % 2 == 0 else ("other", "root")
            lvm("lvrename", "atomicos", *names)
            if number % 2 and runs_over_the_end(Path(one)):
                break
    with devices(HERE, SIZE_BYTES, "kinds", "second") as (one, two):
        group(one, two)
        volume("-l", "1", "-n", "plain", "atomicos", one)
        volume("-l", "1", "-n", "elsewhere", "atomicos", two)
        volume("-l", "2", "-n", "spread", "atomicos", f"{one}:4", f"{two}:4")
        volume("-l", "2", "-i", "2", "-n", "striped", "atomicos")
    with devices(HERE, SIZE_BYTES, "orphan") as (one,):
        lvm("pvcreate", "-y", one)
    with devices(HERE, SIZE_BYTES, "mute", "") as (one, two):
        lvm("pvcreate", "-y", "--metadatacopies", "0", one)
        lvm("pvcreate", "-y", two)
        lvm("vgcreate", "-s", "1m", "atomicos", one, two)


if __name__ == "__main__":
    main()
