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

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.manifest.manifest import Manifest
from bakery.openstack.ironic import releases
from bakery.system import kargs, netboot_args

PLACEHOLDER_NODE = "NODE"
FORMS_OF_IRONIC = ("ironic-conf", "devstack", "node")
# What Ironic's grammar takes for a kernel argument: an empty value is none
# (ironic/common/kernel_parameters.py, KERNEL_PARAMETER_GRAMMAR, 39.0.0).
_IRONIC_ARGUMENT = re.compile(r'[A-Za-z0-9_.-]+(?:=(?:"[^"]+"|[^" ]+))?')
# What echo(1) of the shell takes for an option of its own.
_ECHO_OPTION = re.compile(r"-[neE]+")


class Request(msgspec.Struct, frozen=True):
    """What to write: the build, and what a form may need besides it.

    `release` is a name or number of Ironic's (`juno`, `train`, `2024.1`; empty: today's), `boot`
    and `deploy` tell how the nodes boot (`deploy` None: as the release does it), `node` is the
    node's name or UUID.
    """

    manifest: Manifest
    release: str = ""
    boot: releases.Boot = "pxe"
    deploy: releases.Deploy | None = None
    node: str = PLACEHOLDER_NODE

    @property
    def args(self) -> kargs.Args:
        """The kernel arguments, checked."""
        return kargs.validate(self.manifest.kernel_args)

    @property
    def line(self) -> str:
        """The kernel arguments as one checked line."""
        return kargs.join(self.manifest.kernel_args)

    def place(self, form: releases.Form) -> releases.Place:
        """Where Ironic takes them from; BakeryError where the release cannot."""
        return releases.place(form, releases.known(self.release), self.boot, self.deploy)


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


def background(form: str, request: Request) -> dict[str, object]:
    """Why the form for Ironic is as it is: the release, the place and its source, and what else
    holds there. Empty for the other forms.
    """
    if form not in FORMS_OF_IRONIC:
        return {}
    release = releases.known(request.release)
    place = request.place("node" if form == "node" else "conf")
    facts = [
        {"says": fact.says, "source": fact.source} for fact in releases.FACTS if fact.holds(release)
    ]
    return {"release": release, "place": msgspec.to_builtins(place), "facts": facts}


def cautions(form: str, request: Request) -> list[str]:
    """What to know before using the arguments of this build, a sentence each."""
    found = []
    if request.manifest.layout == "disk":
        found.append(
            "a whole disk boots with the arguments of its own boot loader: what Ironic is given "
            "reaches only the deploy ramdisk"
        )
    if form == "node" and request.place("node").adds:
        found.append(
            "the arguments of this form go behind those of ironic.conf, which stay on the line"
        )
    return found


def ironic_conf(request: Request) -> str:
    """The section of ironic.conf: `[pxe]`, or that of another boot interface.

    oslo.config takes blanks and one pair of quotes off a value and then replaces `$name`; `$$`
    stands for `$`, and so does `\\$` (oslo_config: iniparser._split_key_value, cfg._substitute).
    """
    netboot_args.refuse(request.args, "\\$", "oslo.config takes the backslash away")
    netboot_args.refuse(request.args, "${", "iPXE would replace it by a setting of its own")
    place = request.place("conf")
    if releases.CONF_GRAMMAR.holds(releases.known(request.release)):
        _refuse_ungrammatical(request.args)
    value = request.line.replace("$", "$$")
    if value[:1] in ("'", '"') and value[-1:] == value[:1]:
        value = f'"{value}"'
    return f"[{place.section}]\n{place.key} = {value}".rstrip()


def devstack(request: Request) -> str:
    """The section of devstack's local.conf that puts the option into ironic.conf.

    devstack takes the value through a shell's double quotes, then through `echo $value`, which
    puts file names for patterns, and through sed (devstack: inc/meta-config, merge_config_file;
    inc/ini-config, iniset).
    """
    refuse_for_devstack(request.args)
    return f"[[post-config|$IRONIC_CONF_FILE]]\n{ironic_conf(request)}"


def node(request: Request) -> str:
    """The command that gives one node the arguments.

    Ironic checks them against a grammar when the node is deployed, which is late; the same is
    checked here. BakeryError where the release has no arguments of a node's own.
    """
    line = node_line(request)
    value = json.dumps(line) if _is_json(line) else line
    words = ("--instance-info", f"{request.place('node').key}={value}", request.node)
    return "openstack baremetal node set " + shlex.join(words)


def node_line(request: Request) -> str:
    """The arguments as one node's instance_info takes them; BakeryError as for `node`."""
    release = releases.known(request.release)
    request.place("node")
    if releases.NODE_GRAMMAR.holds(release):
        _refuse_ungrammatical(request.args)
    netboot_args.refuse(request.args, "${", "iPXE would replace it by a setting of its own")
    if releases.DEFAULT_TOKEN.holds(release):
        netboot_args.refuse(
            request.args, "%default%", "Ironic would replace it by its configured arguments"
        )
    return request.line


def glance(request: Request) -> str:
    """The command that lets the arguments travel with the image, as its `os_command_line`."""
    words = ("--property", f"os_command_line={request.line}", request.manifest.name)
    return "openstack image set " + shlex.join(words)


def pxelinux(request: Request) -> str:
    """A pxelinux configuration; the files lie beside it in the TFTP folder.

    The kernel gets `BOOT_IMAGE=` and `initrd=` with the arguments, and pxelinux cuts at the
    kernel's own limit.
    """
    args = netboot_args.for_pxelinux(request.args)
    name, kernel = request.manifest.name, request.manifest.file("kernel")
    append = " ".join([f"initrd={request.manifest.file('ramdisk')}", *args])
    netboot_args.check_length(f"BOOT_IMAGE={kernel} {append}", "pxelinux")
    return f"DEFAULT {name}\nLABEL {name}\n  KERNEL {kernel}\n  APPEND {append}"


def ipxe(request: Request) -> str:
    """An iPXE script; the files lie beside it, at the same URL."""
    kernel, ramdisk = request.manifest.file("kernel"), request.manifest.file("ramdisk")
    line = " ".join([f"initrd={ramdisk}", *netboot_args.for_ipxe(request.args)])
    netboot_args.check_length(line, "iPXE")
    return f"#!ipxe\nkernel {kernel} {line}\ninitrd {ramdisk}\nboot"


def grub_entry(request: Request) -> str:
    """A menu entry for grub.cfg; the files lie in the root folder of GRUB's `root` device."""
    kernel, ramdisk = request.manifest.file("kernel"), request.manifest.file("ramdisk")
    netboot_args.check_length(f"BOOT_IMAGE=/{kernel} {request.line}", "GRUB")
    words = " ".join([f"/{kernel}", *netboot_args.for_grub(request.args)])
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


def refuse_for_devstack(args: kargs.Args) -> None:
    """Raise for the first argument that devstack would change on its way to ironic.conf."""
    for mark in '"$`\\&*?[':
        netboot_args.refuse(args, mark, "devstack's shell and sed would change it")
    if args and _ECHO_OPTION.fullmatch(args[0]):
        raise netboot_args.cannot(args[0], "devstack's echo would take it away")


def _refuse_ungrammatical(args: kargs.Args) -> None:
    for arg in args:
        if not _IRONIC_ARGUMENT.fullmatch(arg):
            raise BakeryError(
                f"Ironic refuses the kernel argument {shown(arg)}",
                "it takes KEY, KEY=VALUE and KEY=\"A B\", the key of letters, digits, '_.-', "
                "the value not empty",
            )


def _is_json(text: str) -> bool:
    """Whether the client would read `text` as JSON (ironicclient: split_and_deserialize)."""
    try:
        json.loads(text)
    except ValueError:
        return False
    except RecursionError:  # the client would end in it; told as a JSON string, it is no such thing
        return True
    return True
