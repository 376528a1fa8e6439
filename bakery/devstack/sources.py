"""Where devstack and its Ironic plugin come from, release by release.

Read in the tags and branches of openstack/devstack and openstack/ironic. Ironic's half moved from
devstack's own tree into a plugin in Mitaka (ironic b21873588).
"""

from bakery.host.errors import BakeryError
from bakery.openstack.ironic import releases

DEVSTACK_URL = "https://opendev.org/openstack/devstack"
PLUGIN_URL = "https://opendev.org/openstack/ironic"
FIRST_WITH_PLUGIN = "mitaka"
FIRST_WITH_OVN = "xena"
"""devstack's networks are OVN's by default from here on (stackrc@xena-eol)."""

_ENDED = (
    *("juno", "liberty", "mitaka", "newton", "ocata", "pike", "queens", "rocky", "stein"),
    *("train", "ussuri", "victoria", "wallaby", "xena", "2023.2", "2024.2"),
)
_UNMAINTAINED = ("yoga", "zed", "2023.1", "2024.1")


def git_ref(release: str) -> str:
    """The branch, or the tag of its end, that has a release in both repositories."""
    if release == "kilo":
        raise BakeryError(
            "devstack keeps neither a branch nor a tag of Kilo", "--release juno or liberty"
        )
    if release in _ENDED:
        return f"{release}-eol"
    return f"unmaintained/{release}" if release in _UNMAINTAINED else f"stable/{release}"


def release_of(ref: str) -> str:
    """The release a branch or tag belongs to, empty where it names none."""
    name = ref.removeprefix("stable/").removeprefix("unmaintained/").removeprefix("origin/")
    name = name.removesuffix("-eol").removesuffix("-eom").removesuffix("-em")
    if name == "master":
        return releases.NEWEST
    return name if name in releases.RELEASES else ""


def has_plugin(release: str) -> bool:
    """Whether Ironic is a plugin of devstack in this release."""
    return at_least(release, FIRST_WITH_PLUGIN)


def at_least(release: str, first: str) -> bool:
    """Whether `release` is `first` or later."""
    return releases.ORDER.index(release) >= releases.ORDER.index(first)
