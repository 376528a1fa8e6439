"""The kernel arguments of a build, in the form a consumer takes them.

Every form is written so that its consumer reads back exactly the arguments of the build, by that
consumer's own rules; an argument that cannot be said in a form is refused by name. Arguments are
a way in: a line break in one is a new command in an iPXE script (CVE-2026-46447).
"""

import json
import re
import shlex
from collections.abc import Callable

import msgspec

from bakery.errors import BakeryError
from bakery.manifest import Manifest
from bakery.system import kargs, netboot
from bakery.system.shown import shown

PLACEHOLDER_NODE = "NODE"
# Ironic's releases that call the option [pxe]pxe_append_params, and those that call it
# [pxe]kernel_append_params; from 2023.1 on releases have numbers.
OLD_RELEASES = (
    *("juno", "kilo", "liberty", "mitaka", "newton", "ocata"),
    *("pike", "queens", "rocky", "stein", "train"),
)
NEW_RELEASES = ("ussuri", "victoria", "wallaby", "xena", "yoga", "zed")
_NUMBERED_RELEASE = re.compile(r"20[2-9][0-9]\.[12]")

# What Ironic takes for a kernel argument in a node's instance_info.
_IRONIC_ARGUMENT = re.compile(r'[A-Za-z0-9_.-]+(?:=(?:"[^"]*"|[^" ]*))?')


class Request(msgspec.Struct, frozen=True):
    """What to write: the build, and what a form may need besides it.

    `release` is a name or number of Ironic's (`juno`, `train`, `2024.1`; empty: today's), `node`
    the node's name or UUID.
    """

    manifest: Manifest
    release: str = ""
    node: str = PLACEHOLDER_NODE

    @property
    def args(self) -> kargs.Args:
        """The kernel arguments, checked."""
        return kargs.validate(self.manifest.kernel_args)

    @property
    def line(self) -> str:
        """The kernel arguments as one checked line."""
        return kargs.join(self.manifest.kernel_args)


def render(form: str, request: Request) -> str:
    """The text of a form, without a line break at its end.

    BakeryError, naming the argument, where the form cannot say it.
    """
    return FORMS[form](request)


def document(request: Request) -> dict[str, object]:
    """The arguments for a program: as a list, as a line, and what of them stands out."""
    manifest = request.manifest
    return {
        "name": manifest.name,
        "layout": manifest.layout,
        "kernel": manifest.file("kernel"),
        "ramdisk": manifest.file("ramdisk"),
        "kernel_args": list(request.args),
        "command_line": request.line,
        "root": kargs.value(request.args, "root"),
        "ostree": kargs.value(request.args, "ostree"),
    }


def caution(manifest: Manifest) -> str:
    """What to know before using the arguments of this build; empty where there is nothing."""
    if manifest.layout != "disk":
        return ""
    return (
        "a whole disk boots with the arguments of its own boot loader: what Ironic is given "
        "reaches only the deploy ramdisk"
    )


def ironic_conf(request: Request) -> str:
    """The `[pxe]` section of ironic.conf.

    oslo.config takes blanks and one pair of quotes off a value and then replaces `$name`; `$$`
    stands for `$`, and so does `\\$` (oslo_config: iniparser._split_key_value, cfg._substitute).
    """
    netboot.refuse(request.args, "\\$", "oslo.config takes the backslash away")
    netboot.refuse(request.args, "${", "iPXE would replace it by a setting of its own")
    value = request.line.replace("$", "$$")
    if value[:1] in ("'", '"') and value[-1:] == value[:1]:
        value = f'"{value}"'
    return f"[pxe]\n{_option(request.release)} = {value}".rstrip()


def devstack(request: Request) -> str:
    """The section of devstack's local.conf that puts the option into ironic.conf.

    devstack takes the value through a shell's double quotes and through sed
    (devstack: inc/meta-config, inc/ini-config), which change some characters.
    """
    for mark in '"$`\\&':
        netboot.refuse(request.args, mark, "devstack's shell and sed would change it")
    return f"[[post-config|$IRONIC_CONF_FILE]]\n{ironic_conf(request)}"


def node(request: Request) -> str:
    """The command that gives one node the arguments.

    Ironic checks them against a grammar when the node is deployed, which is late; the same is
    checked here.
    """
    for arg in request.args:
        if not _IRONIC_ARGUMENT.fullmatch(arg):
            raise BakeryError(
                f"Ironic refuses the kernel argument {shown(arg)}",
                "it takes KEY, KEY=VALUE and KEY=\"A B\", the key of letters, digits, '_.-'",
            )
    netboot.refuse(request.args, "${", "iPXE would replace it by a setting of its own")
    netboot.refuse(request.args, "%default%", "Ironic would replace it by its configured arguments")
    value = json.dumps(request.line) if _is_json(request.line) else request.line
    words = ("--instance-info", f"kernel_append_params={value}", request.node)
    return "openstack baremetal node set " + shlex.join(words)


def glance(request: Request) -> str:
    """The command that lets the arguments travel with the image, as its `os_command_line`."""
    words = ("--property", f"os_command_line={request.line}", request.manifest.name)
    return "openstack image set " + shlex.join(words)


def pxelinux(request: Request) -> str:
    """A pxelinux configuration; the files lie beside it in the TFTP folder.

    The kernel gets `BOOT_IMAGE=` and `initrd=` with the arguments, and pxelinux cuts at the
    kernel's own limit.
    """
    args = netboot.for_pxelinux(request.args)
    name, kernel = request.manifest.name, request.manifest.file("kernel")
    append = " ".join([f"initrd={request.manifest.file('ramdisk')}", *args])
    netboot.check_length(f"BOOT_IMAGE={kernel} {append}", "pxelinux")
    return f"DEFAULT {name}\nLABEL {name}\n  KERNEL {kernel}\n  APPEND {append}"


def ipxe(request: Request) -> str:
    """An iPXE script; the files lie beside it, at the same URL."""
    kernel, ramdisk = request.manifest.file("kernel"), request.manifest.file("ramdisk")
    line = " ".join([f"initrd={ramdisk}", *netboot.for_ipxe(request.args)])
    netboot.check_length(line, "iPXE")
    return f"#!ipxe\nkernel {kernel} {line}\ninitrd {ramdisk}\nboot"


def grub_entry(request: Request) -> str:
    """A menu entry for grub.cfg; the files lie in the root folder of GRUB's `root` device."""
    kernel, ramdisk = request.manifest.file("kernel"), request.manifest.file("ramdisk")
    netboot.check_length(f"BOOT_IMAGE=/{kernel} {request.line}", "GRUB")
    words = " ".join([f"/{kernel}", *netboot.for_grub(request.args)])
    return f"menuentry '{request.manifest.name}' {{\n\tlinux {words}\n\tinitrd /{ramdisk}\n}}"


def as_json(request: Request) -> str:
    """The document as JSON text."""
    return json.dumps(document(request), indent=2)


FORMS: dict[str, Callable[[Request], str]] = {
    "ironic-conf": ironic_conf,
    "node": node,
    "glance": glance,
    "devstack": devstack,
    "pxelinux": pxelinux,
    "ipxe": ipxe,
    "grub": grub_entry,
    "json": as_json,
}


def _option(release: str) -> str:
    """What an Ironic release calls the option."""
    name = release.lower()
    if name in OLD_RELEASES:
        return "pxe_append_params"
    if not name or name in NEW_RELEASES or _NUMBERED_RELEASE.fullmatch(name):
        return "kernel_append_params"
    raise BakeryError(
        f"there is no OpenStack release {shown(release)} with Ironic",
        f"a name from {OLD_RELEASES[0]} to {NEW_RELEASES[-1]}, or a number such as 2024.1",
    )


def _is_json(text: str) -> bool:
    """Whether the client would read `text` as JSON (ironicclient: split_and_deserialize)."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
