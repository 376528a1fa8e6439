"""Files at the bounds of what is read, made of one thing alone: no parser may hang on one."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system import bls, fstab, grub, grub_defaults, kargs, mount_units, os_release

SEEDS = rb""" " ' a" '"' \ $ ${ $a { } {} # a= a=\ A="\ linux options export """.split()
BLANKS = [b" ", b"\t", b"\n", b"a ", b"a\n", b"a=\\\n", b"a /boot\n", b"\0"]
READERS = {
    "grub": lambda text: grub.ordered(text, {"a": "x " * 1000}),
    "set_args": lambda text: grub.set_args(text, "/k", lambda args: (*args, "z")),
    "grubenv": lambda text: grub.parse_environment(grub.ENVIRONMENT_SIGNATURE + text),
    "defaults": lambda text: grub_defaults.change(text, {"a"}, ("b",)),
    "bls": lambda text: bls.parse(b"linux /k\n" + text, "x.conf"),
    "options": lambda text: bls.replace_options(text, "x"),
    "fstab": lambda text: fstab.changed(text, {m.line: None for m in fstab.mentions(text)}),
    "crypttab": lambda text: fstab.changed(
        text, {m.line: "x" for m in fstab.crypttab_mentions(text)}
    ),
    "unit": lambda text: mount_units.mention([b"[Mount]\n" + text], "a.mount", required=True),
    "release": os_release.parse,
    "kargs": lambda text: kargs.parse(text.decode("latin-1")),
}


@pytest.mark.parametrize("seed", [*SEEDS, *BLANKS, b'GRUB_CMDLINE_LINUX="'])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_one_thing_alone_is_read_or_refused(reader, seed):
    for size in (60 << 10, 250 << 10):
        text = (seed * (size // len(seed) + 1))[:size]
        try:
            READERS[reader](text)
        except BakeryError as error:
            assert error.message
