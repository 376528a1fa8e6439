"""What is found in an image of ext4, made from a folder without privilege."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Bakery

MIB = 1 << 20
TREE = {
    "etc/passwd": "root:x:0:0::/root:/bin/bash\nweb:x:33:33::/var/www:/usr/sbin/nologin\n"
    "pg:x:70:70::/var/lib/pg:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n",
    "etc/fstab": "/my[swap] none swap sw 0 0\n/dev/sda9 /home ext4 defaults 0 0\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/ssh/ssh_host_rsa_key": "key",
    "etc/ssh/sshd_config": "config",
    "usr/bin/true": "",
    "home/ann/.ssh/id_rsa": "key",
    "home/ann/.ssh/config": "config",
    "home/ann/notes.txt": "notes",
    "var/lib/pg/.psql_history": "select",
    "var/www/.bash_history": "ls",
    "var/log/app/app.log": "log",
    "var/log/app/app.log.1.gz": "old",
    "var/log/empty.log": "",
    "var/tmp/left over": "x",
    "my[swap]": "swap",
}


def image(folder: Path, tree: dict[str, str]) -> Path:
    """A disk without partitions: an ext4 filesystem that holds `tree`."""
    for name, text in tree.items():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / name).write_text(text)
    (folder / "tree/var/run").symlink_to("/run")
    (folder / "tree/srv").symlink_to("home")
    disk = folder / "disk.raw"
    argv: list[str | Path] = ["mkfs.ext4", "-q", "-d", folder / "tree", disk, "16M"]
    subprocess.run(argv, check=True, timeout=60)
    return disk


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image(tmp_path_factory.mktemp("disk"), TREE)


def found(bakery: Bakery, disk: Path, *words: str | Path) -> dict[str, tuple[str, int, str]]:
    """What a dry run tells: rule, bytes and action by path."""
    done = bakery("scrub", disk, "--dry-run", "--json", *words)
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    return {f["path"]: (f["rule"], f["size_bytes"], f["action"]) for f in files}


def test_what_the_rules_name_is_found_and_nothing_else(bakery: Bakery, disk: Path):
    assert found(bakery, disk) == {
        "/etc/ssh/ssh_host_rsa_key": ("ssh-host-keys", 3, "remove"),
        "/home/ann/.ssh": ("ssh-users", 9, "remove"),
        "/var/lib/pg/.psql_history": ("histories", 6, "remove"),
        "/var/www/.bash_history": ("histories", 2, "remove"),
        "/etc/machine-id": ("machine-id", 33, "empty"),
        "/var/log/app/app.log.1.gz": ("old-logs", 3, "remove"),
        "/var/log/app/app.log": ("logs", 3, "empty"),
        "/var/tmp/left over": ("temporary-files", 1, "remove"),
        "/my[swap]": ("swap", 4, "blank"),
    }


def test_rules_of_ones_own(bakery: Bakery, disk: Path, tmp_path: Path):
    own = tmp_path / "own.toml"
    own.write_text(
        'off = ["logs", "old-logs", "machine-id", "histories", "temporary-files"]\n'
        '[[rule]]\nname = "notes"\nwhy = "private"\npaths = ["~/**/*.txt"]\n'
        '[[rule]]\nname = "ssh-users"\nwhy = "keys"\npaths = ["~/.ssh/*"]\n'
        'keep = ["/home/*/.ssh/config"]\n'
    )
    assert found(bakery, disk, "--rules", own) == {
        "/home/ann/notes.txt": ("notes", 5, "remove"),
        "/home/ann/.ssh/id_rsa": ("ssh-users", 3, "remove"),
        "/etc/ssh/ssh_host_rsa_key": ("ssh-host-keys", 3, "remove"),
        "/my[swap]": ("swap", 4, "blank"),
    }


def test_the_table_tells_rule_path_bytes_and_why(bakery: Bakery, disk: Path):
    done = bakery("scrub", disk, "--dry-run")
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if "ssh_host_rsa_key" in line]
    assert line.split()[:3] == ["ssh-host-keys", "/dev/sda:/etc/ssh/ssh_host_rsa_key", "3"]
    assert "same machine" in line
    assert "free space" in done.stdout


def test_a_volume_of_another_disk_is_told(bakery: Bakery, disk: Path):
    done = bakery("scrub", disk, "--dry-run", "--json")
    assert json.loads(done.stdout)["notes"] == [
        "/dev/sda9 (/etc/fstab:2, for /home) is on no volume of this disk"
    ]


def test_what_cannot_be_searched_fails_a_dry_run_as_it_would_a_run(bakery: Bakery, tmp_path: Path):
    tree = TREE | {"etc/fstab": "/var/home.img /home ext4 loop 0 0\n", "var/home.img": "1"}
    disk = image(tmp_path, tree)
    before = disk.read_bytes()
    asked = (("--dry-run",), ("-o", tmp_path / "out.raw"), ("--in-place",))
    for words in asked:
        done = bakery("scrub", disk, *words)
        assert done.returncode == 1
        assert "/home (/etc/fstab:1): /var/home.img is a filesystem in a file" in done.stderr
        assert "--leave-unsearched /home" in done.stderr
        assert "ssh_host_rsa_key" in done.stdout, "what was found is told all the same"
    assert disk.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.raw", "tree"]
    done = bakery("scrub", disk, "--dry-run", "--json", "--leave-unsearched", "/home")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["unsearched"]
    assert (told["name"], told["named_in"]) == ("/home", "/etc/fstab:1")


def test_a_dry_run_writes_nothing(bakery: Bakery, disk: Path):
    before = {path: path.stat() for path in disk.parent.iterdir()}
    found(bakery, disk)
    after = {path: path.stat() for path in disk.parent.iterdir()}
    assert before.keys() == after.keys()
    assert before[disk].st_mtime_ns == after[disk].st_mtime_ns


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "no output given"),
        (["-o", "x", "--in-place"], "are mutually exclusive"),
        (["--dry-run", "--recovery", "x"], "must be used together"),
        (["--dry-run", "--public-key", "x"], "must be used together"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(bakery: Bakery, disk: Path, words, reason):
    done = bakery("scrub", disk, *words)
    assert done.returncode == 2
    assert reason in done.stderr


def test_the_image_itself_is_not_a_place_to_write_to(bakery: Bakery, disk: Path):
    done = bakery("scrub", disk, "-o", disk.parent / "tree/../disk.raw")
    assert done.returncode == 2
    assert "--in-place" in done.stderr


def test_an_image_without_a_system_is_refused(bakery: Bakery, tmp_path: Path):
    disk = tmp_path / "disk.raw"
    subprocess.run(["mkfs.ext4", "-q", disk, "8M"], check=True, timeout=60)
    done = bakery("scrub", disk, "--dry-run")
    assert done.returncode == 1
    assert "no root filesystem" in done.stderr
