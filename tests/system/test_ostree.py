import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import ostree

CHECKSUM = "a002a2c2e44240db614e09e82c7822322253bfcaad0226f3ff9befb9f96d315f"


def test_the_blueprints_argument_is_taken_apart():
    found = ostree.parse_boot_argument(f"ostree=/ostree/boot.0/fedora-atomic/{CHECKSUM}/0")
    assert found == ostree.BootPath(0, "fedora-atomic", CHECKSUM, 0)
    assert found.path == f"/ostree/boot.0/fedora-atomic/{CHECKSUM}/0"


def test_the_flipping_links_own_target_is_taken_as_well():
    found = ostree.parse_boot_argument(f"/ostree/boot.1.0/debian/{CHECKSUM}/12")
    assert (found.boot_version, found.serial) == (1, 12)


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "ostree=",
        "/ostree/boot.0",
        f"/ostree/boot.2/a/{CHECKSUM}/0",
        f"/ostree/boot.0/../{CHECKSUM}/0",
        f"/ostree/boot.0/a/../{CHECKSUM}/0",
        f"/ostree/boot.0/.a/{CHECKSUM}/0",
        f"/ostree/boot.0/a b/{CHECKSUM}/0",
        f"/ostree/boot.0/a/{CHECKSUM}/0\n",
        f"/ostree/boot.0/a/{CHECKSUM}/-1",
        f"/ostree/boot.0/a/{CHECKSUM}/01",
        f"/ostree/boot.0/a/{CHECKSUM}/9999999999",
        f"/ostree/boot.0/a/{CHECKSUM}/",
        f"/ostree/boot.0/a/{CHECKSUM}/٣",
        f"/ostree/boot.0/a/{CHECKSUM.upper()}/0",
        f"/ostree/boot.0/a/{CHECKSUM[1:]}/0",
        f"ostree/boot.0/a/{CHECKSUM}/0",
        f"/ostree/boot.0/{'a' * 200}/{CHECKSUM}/0",
    ],
)
def test_an_argument_that_names_no_deployment_is_refused(argument):
    with pytest.raises(BakeryError, match="names no OSTree deployment"):
        ostree.parse_boot_argument(argument)


def test_a_deployments_name_and_its_directory():
    name = ostree.parse_deployment_name(f"{CHECKSUM}.3")
    assert (name.checksum, name.serial, str(name)) == (CHECKSUM, 3, f"{CHECKSUM}.3")
    assert name.path("fedora-atomic") == f"/ostree/deploy/fedora-atomic/deploy/{CHECKSUM}.3"


@pytest.mark.parametrize("name", ["", CHECKSUM, f"{CHECKSUM}.", f"{CHECKSUM}.0.origin", "x.0"])
def test_other_names_beside_a_deployment_are_none(name):
    with pytest.raises(BakeryError):
        ostree.parse_deployment_name(name)


@given(st.text(max_size=200))
def test_any_text_is_taken_apart_or_refused(text):
    for parse in (ostree.parse_boot_argument, ostree.parse_deployment_name):
        with pytest.raises(BakeryError):
            parse(text)


@given(
    st.integers(0, 1),
    st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
    st.integers(0, 2**31 - 1),
)
def test_what_a_boot_path_says_is_what_it_was_made_of(version, stateroot, serial):
    made = ostree.BootPath(version, stateroot, CHECKSUM, serial)
    assert ostree.parse_boot_argument("ostree=" + made.path) == made


def test_a_serial_is_below_the_limit():
    largest = ostree.SERIAL_LIMIT - 1
    assert ostree.parse_boot_argument(f"/ostree/boot.0/a/{CHECKSUM}/{largest}").serial == largest
    assert ostree.parse_deployment_name(f"{CHECKSUM}.{largest}").serial == largest
    with pytest.raises(BakeryError):
        ostree.parse_boot_argument(f"/ostree/boot.0/a/{CHECKSUM}/{largest + 1}")
    with pytest.raises(BakeryError):
        ostree.parse_deployment_name(f"{CHECKSUM}.{largest + 1}")
