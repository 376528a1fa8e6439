"""Secrets in an image: one for every path of every rule, each with bytes of its own.

They are put in as a tar by guestfish, which is no part of what is tested. What is then in the
image is told by tar again.
"""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakery.build.scrub import rules
from tests.e2e.compare import data_of

MARK = b"PLANTED-SECRET-"
FOUND = re.compile(re.escape(MARK) + rb"([0-9a-f]{24})")
HOMES = ("/root", "/home/ana")
# What a rule names as a folder, and a file as there would be in it.
INSIDE = {
    "~/.ssh": "id_ed25519",
    "~/.aws": "credentials",
    "~/.azure": "msal_token_cache.json",
    "~/.config/doctl": "config.yaml",
    "~/.config/gcloud": "credentials.db",
    "~/.config/glab-cli": "config.yml",
    "~/.config/hcloud": "cli.toml",
    "~/.config/helm/registry": "config.json",
    "~/.config/openstack": "clouds.yaml",
    "~/.config/rclone": "rclone.conf",
    "~/.gnupg": "private-keys-v1.d/0123.key",
    "~/.kube": "config",
    "~/.local/share/keyrings": "login.keyring",
    "~/.oci": "config",
    "~/.password-store": "bank.gpg",
    "~/.subversion/auth": "svn.simple/0123",
    "~/Maildir": "new/1.host",
    "/etc/kubernetes/pki": "ca.key",
    "/etc/puppetlabs/puppet/ssl": "private_keys/host.pem",
    "/etc/salt/pki": "minion/minion.pem",
    "/var/cfengine/ppkeys": "localhost.priv",
    "/var/lib/amazon/ssm": "Vault/Store/RegistrationKey",
    "/var/lib/cloud/*": "i-1/user-data.txt",
    "/var/lib/kubelet/pki": "kubelet.key",
    "/var/lib/netdata/cloud.d": "private.pem",
    "/var/lib/puppet/ssl": "private_keys/host.pem",
    "/var/lib/rancher/k3s/server/cred": "passwd",
    "/var/lib/rancher/k3s/server/tls": "server-ca.key",
    "/var/lib/rhsm/facts": "facts.json",
    "/var/lib/snapd/device": "private-keys-v1/0123",
    "/var/lib/teleport/proc": "sqlite.db",
    "/var/lib/waagent": "ovf-env.xml",
    "/var/log/journal/*": "system.journal",
    "/var/tmp/*": "with space/secret-ä.txt",
}
WITHOUT_PLACE = ("/boot/", "/efi/")  # of an EFI system partition, which the samples have not
DELETED = tuple(f"/var/lib/forgotten/{n}" for n in range(8))


@dataclass(frozen=True)
class Secret:
    """A file of the running system, and the bytes that tell its content from any other."""

    rule: str
    path: str
    mark: bytes


def secrets(homes: Sequence[str] = HOMES, without: tuple[str, ...] = WITHOUT_PLACE) -> list[Secret]:
    """A secret for every path that the built-in rules name, in each of these homes."""
    found: dict[str, Secret] = {}
    for rule in rules.load():
        for pattern in rule.paths:
            for path in _concrete(pattern, homes):
                if not path.startswith(without):
                    found.setdefault(path, Secret(rule.name, path, os.urandom(12).hex().encode()))
    return list(found.values())


def deleted() -> list[Secret]:
    """Secrets that are written, and deleted again before anybody scrubs."""
    return [Secret("deleted-data", path, os.urandom(12).hex().encode()) for path in DELETED]


def tar_of(planted: list[Secret], prefixes: dict[str, str]) -> bytes:
    """A tar of the secrets. `prefixes` maps `/etc`, `/var` … to where they lie in the volume."""
    stream = io.BytesIO()
    made: set[str] = set()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, secret in enumerate(planted):
            name = placed(secret.path, prefixes).lstrip("/")
            for parent in _parents(secret.path):
                _add_folder(tar, placed(parent, prefixes).lstrip("/"), parent, made)
            info = tarfile.TarInfo(name)
            text = content(secret, number)
            info.size = len(text)
            info.mode = (0o600, 0o640, 0o400, 0o4711)[number % 4]
            info.uid, info.gid = (0, 0) if number % 3 else (1000, 1001)
            info.pax_headers = {
                "mtime": f"{1600000000 + number}.{number:09}",
                "atime": f"{1500000000 + number}.{number:09}",
                "SCHILY.xattr.user.origin": f"planted {number}",
                "SCHILY.xattr.security.selinux": "system_u:object_r:etc_t:s0\0",
            }
            tar.addfile(info, io.BytesIO(text))
    return stream.getvalue()


def placed(path: str, prefixes: dict[str, str]) -> str:
    """Where a path of the running system lies in the volume."""
    first = "/" + path.split("/")[1]
    return prefixes.get(first, first) + path.removeprefix(first)


def guestfish(image: Path, root: str, *commands: str, write: bool = True) -> None:
    """Run commands on an image whose volume `root` is mounted."""
    mode = [] if write else ["--ro"]
    argv: list[str | Path] = ["guestfish", *mode, "--format=qcow2", "-a", image]
    lines = ["run", f"mount{'' if write else '-ro'} {root} /", *commands]
    words = "\n".join(lines).encode()
    subprocess.run(argv, input=words, env=environment(), check=True, timeout=600)


def environment() -> dict[str, str]:
    """For guestfish, wherever the tests run: without KVM, and without libvirt."""
    return os.environ | {
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
    }


def marks_in(raw: Path) -> set[bytes]:
    """The marks of all secrets whose bytes are anywhere in a raw file."""
    found: set[bytes] = set()
    rest, end = b"", 0
    with raw.open("rb") as file:
        for offset, piece in data_of(file.fileno()):
            rest = rest if offset == end else b""
            found |= set(FOUND.findall(rest + piece))
            rest, end = piece[-64:], offset + len(piece)
    return found


def members(tar: Path) -> dict[str, tuple[object, ...]]:
    """What a tar says of each member, but for the time of the last change of its inode."""
    told: dict[str, tuple[object, ...]] = {}
    with tarfile.open(tar) as opened:
        for member in opened:
            content = opened.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
            extra = {
                k: v for k, v in member.pax_headers.items() if k not in ("atime", "ctime", "path")
            }
            told[member.name] = (
                member.type,
                member.mode,
                member.uid,
                member.gid,
                member.mtime,
                member.linkname,
                tuple(sorted(extra.items())),
                content,
            )
    return told


def content(secret: Secret, number: int) -> bytes:
    """The bytes of a secret's file: few or many, of a swap file behind its header."""
    text = (MARK + secret.mark + b"\n") * (1 + number % 700)
    return bytes(4096) + text if secret.rule == "swap" else text


def _concrete(pattern: str, homes: Sequence[str]) -> Iterator[str]:
    inside = INSIDE.get(pattern)
    path = re.sub(r"\[([0-9])[^]]*\]", r"\1", pattern)
    path = path.replace("/**/", "/deep/er/").replace("/**", "/deep/er/plain.log")
    path = path.replace("*", "any")
    for home in homes if path.startswith("~") else ("",):
        yield home + path.removeprefix("~") + (f"/{inside}" if inside else "")


def _parents(path: str) -> list[str]:
    names = path.split("/")[1:-1]
    return ["/" + "/".join(names[:n]) for n in range(2, len(names) + 1)]


def _add_folder(tar: tarfile.TarFile, name: str, path: str, made: set[str]) -> None:
    if name in made or path in ("/var/lib", "/var/log", "/etc/ssh"):
        return
    made.add(name)
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o750 if "ana" in path else 0o755, 1.4e9
    tar.addfile(info)
