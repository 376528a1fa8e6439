import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import kargs, netboot_args

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)


@given(st.lists(WORDS, max_size=5))
def test_pxelinux_and_ipxe_get_the_arguments_as_they_are_or_not_at_all(args):
    for spell in (netboot_args.for_pxelinux, netboot_args.for_ipxe):
        try:
            words = spell(args)
        except BakeryError as error:
            assert error.message
            continue
        assert kargs.parse(" ".join(words)) == tuple(args)


@pytest.mark.parametrize(
    "spell", [netboot_args.for_pxelinux, netboot_args.for_ipxe, netboot_args.for_grub]
)
@pytest.mark.parametrize("arg", ["a\nb", "a\0b", "ä", "a b", ""])
def test_what_is_no_argument_is_refused(spell, arg):
    with pytest.raises(BakeryError, match="kernel argument"):
        spell([arg])


@pytest.mark.parametrize("spell", [netboot_args.for_pxelinux, netboot_args.for_ipxe])
def test_the_loaders_own_initrd_stands_alone(spell):
    with pytest.raises(BakeryError, match="own initrd="):
        spell(["quiet", "initrd=evil"])


@pytest.mark.parametrize("arg", ["a=${mac}", "#", "||", "&&", ";", 'a="b ; c"', 'a="b  c"', "a\\"])
def test_what_ipxe_would_change_is_refused_with_the_way_out(arg):
    with pytest.raises(BakeryError, match="iPXE") as caught:
        netboot_args.for_ipxe([arg])
    assert "--karg-delete" in caught.value.hint


def test_a_line_longer_than_a_kernel_keeps_is_refused():
    netboot_args.check_length("x" * kargs.LIMIT_BYTES, "iPXE")
    with pytest.raises(BakeryError, match="what iPXE adds"):
        netboot_args.check_length("x" * (kargs.LIMIT_BYTES + 1), "iPXE")
