"""Where this machine gets Debian's packages from.

debootstrap wants one mirror; the machine's administrator has already chosen one for apt.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bakery.host.errors import BakeryError
from bakery.host.run import run

FORMAT = "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)"
USABLE_SCHEMES = ("http://", "https://", "file:/")
PROXY_KEYS = {"http_proxy": "Acquire::http::Proxy", "https_proxy": "Acquire::https::Proxy"}


@dataclass(frozen=True)
class IndexTarget:
    """One line of `apt-get indextargets`: a component of one release at one address."""

    origin: str
    codename: str
    component: str
    uri: str


def machine_mirror(suite: str) -> str:
    """The address of the Debian mirror that apt on this machine uses.

    The one that carries `suite` if any does; otherwise the mirror of another Debian release,
    since a mirror holds them all.
    """
    listed = run(["apt-get", "indextargets", "--format", FORMAT, "Created-By: Packages"]).text
    uri = choose(parse_targets(listed), suite)
    if uri is None:
        raise BakeryError(
            "apt on this machine has no Debian mirror for the sample's packages",
            "run 'sudo apt-get update' on a Debian machine first",
        )
    return uri


def parse_targets(text: str) -> list[IndexTarget]:
    """The lines that `apt-get indextargets --format FORMAT` prints."""
    rows = (line.split("|") for line in text.splitlines() if line.count("|") == 3)
    return [IndexTarget(*row) for row in rows]


def choose(targets: Iterable[IndexTarget], suite: str) -> str | None:
    """The mirror to use: an exact release before its siblings; update suites never."""
    usable = [
        (target.codename != suite, address)
        for target in targets
        if target.origin == "Debian" and target.component == "main" and "-" not in target.codename
        if (address := resolve(target.uri)) is not None
    ]
    return min(usable, key=lambda pair: pair[0])[1] if usable else None


def resolve(uri: str) -> str | None:
    """`uri` as debootstrap understands it, or None.

    Debian's cloud images name a file with a list of mirrors: `mirror+file:/etc/apt/mirrors/…`
    (apt-transport-mirror(1)); its first address is the preferred one.
    """
    if uri.startswith("mirror+file:"):
        try:
            words = Path(uri.removeprefix("mirror+file:").rstrip("/")).read_text().split()
        except OSError:
            return None
        uri = words[0] if words else ""
    return uri if uri.startswith(USABLE_SCHEMES) else None


def proxies() -> dict[str, str]:
    """The environment that makes a downloader use apt's proxies; empty where there are none."""
    query = [word for pair in PROXY_KEYS.items() for word in pair]
    printed = run(["apt-config", "shell", *query]).text
    pairs = (line.split("=", 1) for line in printed.splitlines() if "=" in line)
    return {name: value.strip("'") for name, value in pairs if value.strip("'") != "DIRECT"}
