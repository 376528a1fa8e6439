"""What a check looks at: one local.conf, read, with the release, the machine and the build."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bakery.devstack import metaconf, shell, sources
from bakery.devstack.finding import Finding
from bakery.devstack.host import Host
from bakery.manifest.manifest import Manifest
from bakery.openstack.ironic import releases


class Subject(msgspec.Struct, frozen=True):
    """`beside` names the files in the same folder, `build` is what the nodes are to boot."""

    document: metaconf.Document
    localrc: shell.Localrc
    release: str
    host: Host
    beside: frozenset[str]
    build: Manifest | None = None


Rule = Callable[[Subject], Iterator[Finding]]


def read(path: Path, release: str, host: Host, build: Manifest | None) -> Subject:
    """Read a local.conf, or a localrc and the local.conf beside it.

    `release` empty: that of the plugin's branch, or else the newest. BakeryError where a file
    cannot be read or the release is not known.
    """
    document = _document(path)
    localrc = shell.read(document.localrc)
    beside = frozenset(one.name for one in path.absolute().parent.iterdir())
    return Subject(
        document, localrc, releases.known(release or _told(localrc)), host, beside, build
    )


def _document(path: Path) -> metaconf.Document:
    """The file; a localrc and a local.conf without a localrc of its own make one."""
    text = metaconf.load(path)
    localrc, local_conf = path.with_name("localrc"), path.with_name("local.conf")
    if path.name == "localrc":
        other = metaconf.load(local_conf) if local_conf.is_file() else ""
        return metaconf.pair(text, other)
    document = metaconf.parse(text)
    if path.name == "local.conf" and not document.of("local", "localrc") and localrc.is_file():
        return metaconf.pair(metaconf.load(localrc), text)
    return document


def _told(localrc: shell.Localrc) -> str:
    for call in localrc.plugins("ironic"):
        if len(call.words) > 2:
            return sources.release_of(call.words[2])
    return ""
