"""What the conductor tells the agent: arguments on the kernel's command line.

The names are those that Ironic's classic iSCSI deploy put into its PXE templates (Juno to
Wallaby); pxelinux adds `ip=` and `BOOTIF=` (SYSLINUX, `IPAPPEND 3`). A medium has what is secret
among them in a file.
"""

import re
from typing import NamedTuple

from . import static
from .errors import AgentError
from .static import Address

ETHERNET = re.compile(r"(?:01[-:])?([0-9a-f]{2}(?:[-:][0-9a-f]{2}){5})")
IQN = re.compile(r"iqn[-.][A-Za-z0-9][A-Za-z0-9.:_-]{0,218}")  # RFC 3720, 3.2.6.1: 223 bytes
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")  # RFC 8032: 32 bytes
WORD = re.compile(r"[A-Za-z0-9._-]{1,255}")
# Of a medium, what is secret among the arguments: a kernel tells its command line to everybody.
SECRETS_FILE = "/etc/agent/arguments"
CMDLINE = "/proc/cmdline"
TEXT_LIMIT = 65536
OFF = ("", "0", "no", "off", "false")


class Settings(NamedTuple):
    """The arguments the agent goes by; texts are empty where an argument is not given.

    `mac` is in lower case with colons. `address` is None where DHCP has to be asked. With a
    `plan_key`, the public key of who signs plans, the node writes its disk itself. `trusts_wire`
    is for a conductor that has no secrets: whoever comes is it. `sector_bytes` is what the image's
    disk is made for, `least_bytes` how large a disk has to be, 0 where it does not matter. `token`
    is the API's, where it need not be fetched; `vlan` the one of the boot interface, 0 without.
    `fault` is what is wrong with what was said of the network.
    """

    disk: str
    iqn: str
    deployment_id: str
    deployment_key: str
    api_url: str
    boot_option: str
    root_device: str
    troubleshoot: bool
    mac: str
    address: Address | None
    plan_key: str
    trusts_wire: bool
    sector_bytes: int
    least_bytes: int
    token: str = ""
    dns: tuple[str, ...] = ()
    vlan: int = 0
    fault: str = ""


def parse(cmdline: str) -> Settings:
    """The settings on a kernel command line; the last of two arguments of one name counts.

    Never raises for what concerns the deployment alone (`check` does), so that a node whose
    arguments are wrong can still say so.
    """
    words = _words(cmdline)
    network = static.read(words)
    return Settings(
        disk=words.get("disk", ""),
        iqn=words.get("iscsi_target_iqn", ""),
        deployment_id=words.get("deployment_id", ""),
        deployment_key=words.get("deployment_key", ""),
        api_url=words.get("ironic_api_url", "").rstrip("/"),
        boot_option=words.get("boot_option", ""),
        root_device=words.get("root_device", ""),
        troubleshoot=_is_on(words, "troubleshoot"),
        mac=_mac(words.get("BOOTIF", "")),
        address=network.address,
        plan_key=words.get("bakery_key", "").lower(),
        trusts_wire=_is_on(words, "bakery_trust_wire"),
        sector_bytes=_number(words.get("bakery_sectors", "")),
        least_bytes=_number(words.get("bakery_bytes", "")),
        token=words.get("bakery_token", ""),
        dns=network.dns,
        vlan=network.vlan,
        fault=network.fault,
    )


def given() -> Settings:
    """The settings of this machine: its kernel's command line, and what a medium has beside it."""
    texts = []
    for path in (CMDLINE, SECRETS_FILE):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                texts.append(file.read(TEXT_LIMIT))
        except FileNotFoundError:
            continue
    return parse(" ".join(texts))


def check(settings: Settings) -> None:
    """Raise AgentError for an argument without which, or with which, there is no deployment."""
    way = ("bakery_key", settings.plan_key, PUBLIC_KEY)
    for name, value, form in (
        way if settings.plan_key else ("iscsi_target_iqn", settings.iqn, IQN),
        ("deployment_id", settings.deployment_id, WORD),
        ("deployment_key", settings.deployment_key, WORD),
    ):
        if not value:
            raise AgentError(f"the kernel argument {name} is missing")
        if not form.fullmatch(value):
            raise AgentError(f"the kernel argument {name} is malformed")


def _words(cmdline: str) -> dict[str, str]:
    """NAME → VALUE; double quotes hold a value with spaces together, as for the kernel."""
    found = {}
    for word in re.findall(r'(?:"[^"]*"|[^\s"])+', cmdline):
        name, _, value = word.replace('"', "").partition("=")
        found[name] = value
    return found


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,16}", text) else 0


def _is_on(words: dict[str, str], name: str) -> bool:
    """Whether it is there and not switched off; Ironic writes `troubleshoot=0`."""
    given = words.get(name)
    return given is not None and (given.lower() not in OFF or given == "")


def _mac(text: str) -> str:
    """pxelinux writes `01-aa-bb-…` (the ARP type of Ethernet first), iPXE `aa:bb:…`."""
    match = ETHERNET.fullmatch(text.lower())
    return match[1].replace("-", ":") if match else ""
