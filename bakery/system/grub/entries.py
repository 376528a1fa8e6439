"""`menuentry` and `submenu` (grub-core/commands/menuentry.c)."""

from bakery.system.grub import options, status
from bakery.system.grub.machine import Machine, Pending
from bakery.system.grub.menu import Place
from bakery.system.grub.options import Option, Options
from bakery.system.grub.run import Call, Run
from bakery.system.grub.source import Source, made
from bakery.system.grub.status import Failed

_OPTIONS = (
    Option("class"),
    Option("users", optional=True),
    Option("hotkey"),
    Option("source"),
    Option("id"),
    Option("unrestricted", takes_value=False),
)


def menuentry(machine: Machine, call: Call) -> int:
    """`menuentry TITLE --id ID … { … }`, and `submenu` alike."""
    given = options.parse(_OPTIONS, call.args, dash=True)
    body = _body(call, given)
    args = given.rest if call.node.block is None else given.rest[:-1]
    if not args:
        raise Failed(status.BAD_ARGUMENT if not given.rest else status.MENU, "no title")
    title = args[0].text
    machine.add(
        Pending(
            title=title,
            id=given.last("id") if given.last("id") is not None else title,  # type: ignore[arg-type]
            args=args,
            body=body,
            is_submenu=call.name == "submenu",
            locked=given.last("users") is not None or not given.has("unrestricted"),
        )
    )
    return status.NONE


COMMANDS: dict[str, Run] = {"menuentry": menuentry, "submenu": menuentry}


def _body(call: Call, given: Options) -> Source:
    """The block in braces, or the text of `--source`: one of them must be there."""
    text, block = given.last("source"), call.node.block
    if not given.rest:
        raise Failed(status.BAD_ARGUMENT, "no title")
    if (text is None) == (block is None):
        raise Failed(status.BAD_ARGUMENT, "a menu entry has one body")
    if block is not None:
        return block
    assert text is not None
    words = call.node.words
    first = words[0].source.place(words[0].start, words[-1].end)
    return made(text, Place(first.file, first.start, first.end))
