"""Each kind of value at its bounds: the last that is taken, the first that is not."""

from uuid import UUID

import pytest

from bakery.openstack.ironic import checks
from bakery.openstack.ironic.fields import LOCAL_LINK, Field
from bakery.openstack.ironic.problems import Problems, Spot

ID = "5cc22a07-4290-4b92-aa7f-9bccc46001f7"


def checked(check, value, *more):
    """What a check makes of a value, and all that it says against it."""
    problems = Problems()
    found = check(Spot(problems, "n", "x"), value, *more)
    return found, " / ".join(problem.message for problem in problems.found)


def fine(check, value, *more):
    found, wrong = checked(check, value, *more)
    assert wrong == ""
    return found


def refused(check, value, *more):
    found, wrong = checked(check, value, *more)
    assert not found
    assert " / " not in wrong
    return wrong


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        *(("ipmi_password", True), ("SNMP_Community", True), ("x_token", True), ("kg_key", True)),
        *(("redfish_auth_key", True), ("ipmi_address", False), ("deploy_key", False)),
    ],
)
def test_secrets_are_told_by_their_names(key, secret):
    assert checks.is_secret(key) is secret


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((None, "nothing"), ({}, "a mapping"), ([], "a list"), (True, "true or false")),
        *(("", "text"), (1, "a number"), (1.5, "a number")),
    ],
)
def test_a_value_is_called_by_its_kind(value, words):
    assert checks.kind_of(value) == words


def test_an_empty_one_stands_for_what_is_no_mapping_or_list():
    assert checked(checks.mapping, [1]) == ({}, "must be a mapping, not a list")
    assert checked(checks.sequence, {1: 2}) == ([], "must be a list, not a mapping")
    assert fine(checks.mapping, {"a": 1}) == {"a": 1}
    assert fine(checks.sequence, [1]) == [1]


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("mapping", {"a": 1}, {"a": 1}),
        ("flag", "no", False),
        ("uuid", UUID(ID).hex, ID),
        ("text", "a", "a"),
    ],
)
def test_a_field_holds_a_value_of_its_kind(kind, value, found):
    assert fine(checks.field, value, Field(kind)) == found
    assert "has no value" in refused(checks.field, None, Field(kind))
    assert refused(checks.field, [1], Field(kind))


def test_a_text_is_not_longer_than_its_field():
    assert fine(checks.text, "é" * 255) == "é" * 255
    assert refused(checks.text, "x" * 256) == "is longer than 255 characters"
    assert fine(checks.field, "x" * 80, Field("text", limit=80)) == "x" * 80
    assert refused(checks.field, "x" * 81, Field("text", limit=80))


def test_lines_break_only_in_a_long_text():
    assert fine(checks.text, "a\nb", 256) == "a\nb"
    assert "unprintable" in refused(checks.text, "a\nb", 255)
    assert "unprintable" in refused(checks.text, "a\tb", 256)


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_text_is_none(value):
    assert refused(checks.text, value) == "is empty"


def test_what_lost_its_quotes_is_told_what_it_needs():
    assert refused(checks.text, 7) == "must be text, not a number; write it in quotes"
    assert refused(checks.text, []) == "must be text, not a list"


@pytest.mark.parametrize(
    ("value", "found"),
    [(True, True), (False, False), ("Yes", True), ("off", False), (1, True), (0, False)],
)
def test_a_flag_may_be_text_or_a_number(value, found):
    assert fine(checks.flag, value) is found


@pytest.mark.parametrize("value", ["maybe", 2, 1.0, [], ""])
def test_what_is_no_flag_is_refused(value):
    assert refused(checks.flag, value).startswith("must be true or false")


@pytest.mark.parametrize("value", ["x", 7, f"{ID}0", None])
def test_what_is_no_uuid_is_refused(value):
    assert "is not a UUID" in refused(checks.uuid, value)


@pytest.mark.parametrize("value", ["a", "A-b.c_d~e", "x" * 255])
def test_a_name_is_taken_as_it_is(value):
    assert fine(checks.name, value) == value


@pytest.mark.parametrize("value", ["a/b", "é", "x" * 256, ID, UUID(ID).hex, "ports", 7])
def test_a_name_that_ironic_would_not_take_is_refused(value):
    assert refused(checks.name, value)


def test_a_mac_is_written_in_lower_case_and_is_one_cards():
    assert fine(checks.mac, "52:54:00:AA:BB:CC") == "52:54:00:aa:bb:cc"
    assert "multicast" in refused(checks.mac, "03:54:00:aa:bb:cc")
    for value in ("52:54:00:aa:bb", "52:54:00:aa:bb:cc:dd", "52:54:00:aa:bb:cg", 7):
        assert refused(checks.mac, value)
    assert refused(checks.mac, "52-54-00-AA-BB-CC").endswith("did you mean '52:54:00:aa:bb:cc'?")


def test_a_resource_class_is_a_word():
    assert fine(checks.resource_class, "x" * 80) == "x" * 80
    assert "only letters, digits" in refused(checks.resource_class, "-a")
    assert "longer than 80" in refused(checks.resource_class, "x" * 81)


def test_traits_are_sorted_and_those_that_are_none_left_out():
    assert fine(checks.traits, ["CUSTOM_B", "HW_CPU_X86_VMX", "CUSTOM_A"]) == (
        *("CUSTOM_A", "CUSTOM_B", "HW_CPU_X86_VMX"),
    )
    found, wrong = checked(checks.traits, ["CUSTOM_B", 7, "", "custom_a", "odd", "CUSTOM_B"])
    assert found == ("CUSTOM_B",)
    assert len(wrong.split(" / ")) == 5
    assert "'custom_a' is not a trait: CUSTOM_ and then only capital letters" in wrong
    assert "'odd' is not a standard trait; custom traits begin with CUSTOM_" in wrong


def test_a_node_has_fifty_traits_at_most_each_of_255_letters():
    assert len(fine(checks.traits, [f"CUSTOM_{number}" for number in range(50)])) == 50
    _, wrong = checked(checks.traits, [f"CUSTOM_{number}" for number in range(51)])
    assert wrong == "51 traits: a node has 50 at most"
    longest = "CUSTOM_" + "X" * 248
    assert fine(checks.traits, [longest]) == (longest,)
    assert refused(checks.traits, [longest + "X"])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", {}),
        (" a : b , c:d", {"a": "b", "c": "d"}),
        ({"a": 1, "b": True, "c": "d"}, {"a": "1", "b": "true", "c": "d"}),
        ("boot_mode:bios", {"boot_mode": "bios"}),
    ],
)
def test_capabilities_are_a_text_or_a_mapping(value, found):
    assert fine(checks.capabilities, value) == found


@pytest.mark.parametrize(
    "value", ["a", "a:", ":b", "a:b:c", "a:b,", {"a": 1.5}, {"a,": "b"}, {"a": ["b"]}, "a:é"]
)
def test_what_is_no_capability_is_refused(value):
    _, wrong = checked(checks.capabilities, value)
    assert "is not a capability: NAME:VALUE" in wrong


def test_a_capability_that_appears_twice_keeps_its_first_value():
    assert checked(checks.capabilities, "a:b,a:c") == (
        *({"a": "b"}, "the capability 'a' appears twice"),
    )
    assert "bios or uefi" in checked(checks.capabilities, "boot_mode:efi")[1]


@pytest.mark.parametrize("value", [0, "0", (1 << 53) - 1, str((1 << 53) - 1), "007"])
def test_a_number_is_whole_and_may_be_text(value):
    assert fine(checks.number, value) == int(value)


@pytest.mark.parametrize("value", [-1, 1 << 53, "9" * 17, str(1 << 53), True, 1.0, "1 ", "²", None])
def test_what_is_no_number_is_refused(value):
    assert refused(checks.number, value).startswith("must be a whole number")


@pytest.mark.parametrize(
    "value",
    [
        {"size": 100, "name": "s== /dev/sda", "rotational": True},
        {"size": "<or> 10 <or> 20", "rotational": "no", "wwn_with_extension": "0x1"},
        {"wwn_vendor_extension": "s== 0x1"},
    ],
)
def test_root_device_hints_are_taken_as_they_are(value):
    assert fine(checks.root_device, value) == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "is empty: name a hint"),
        ({"size": "big"}, "cannot be read: a number of GiB"),
        ({"rotational": "often"}, "cannot be read: true or false"),
        ({"wwn_vendor_extension": ">= 1"}, "cannot be read: a text"),
        ({"serial": True}, "must be text, not true or false; write it in quotes"),
        ({"wwn": 0x5000C5006C1C2F0A}, "must be text, not a number; write it in quotes"),
        ({"serial": 0o12345}, "must be text, not a number; write it in quotes"),
        ({"hctl": 1}, "must be text, not a number; write it in quotes"),
        ({"size": None}, "must be text or a number, not nothing"),
        ({"serial": None}, "must be text or a number, not nothing"),
        ({"sise": 1}, "is not a root device hint; did you mean 'size'?"),
    ],
)
def test_what_no_ramdisk_could_read_is_refused(value, words):
    assert words in checked(checks.root_device, value)[1]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({}, {}),
        ({"port_id": "1", "switch_id": "AA:BB:CC:00:11:22"}, {"switch_id": "aa:bb:cc:00:11:22"}),
        ({"port_id": "1", "switch_id": "0123456789ABCDEF"}, {"switch_id": "0123456789abcdef"}),
        ({"port_id": "1", "hostname": "h"}, {}),
        ({"network_type": "unmanaged"}, {}),
    ],
)
def test_a_port_is_plugged_into_a_switch_or_nothing_that_is_managed(value, found):
    assert fine(checks.local_link, value) == value | found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"port_id": "1"}, "needs port_id and switch_id"),
        ({"switch_id": "aa:bb:cc:00:11:22"}, "needs port_id and switch_id"),
        ({"hostname": "h"}, "needs port_id and switch_id"),
        ({"network_type": "managed"}, "needs port_id and switch_id"),
        ({"network_type": "odd"}, "is managed or unmanaged, not 'odd'"),
        ({"port_id": "1", "switch_id": "0123456789ABCDEFF"}, "neither a MAC nor an OpenFlow"),
        ({"port_id": 1, "switch_id": "0123456789ABCDEF"}, "must be text, not a number"),
        ({"prt_id": "1", "network_type": "unmanaged"}, "is unknown; did you mean 'port_id'?"),
    ],
)
def test_a_link_that_says_too_little_is_refused(value, words):
    assert words in checked(checks.local_link, value)[1]


def test_every_key_of_a_link_is_known():
    link = dict.fromkeys(LOCAL_LINK, "a") | {"network_type": "unmanaged", "switch_id": "0" * 16}
    assert fine(checks.local_link, link) == link


@pytest.mark.parametrize("port", [1, 65535, "623", "65535"])
def test_details_of_a_driver_that_are_right_are_not_spoken_of(port):
    details = {"ipmi_port": port, "ipmi_password": "007", "deploy_kernel": "file:///k", "x": 1.5}
    assert fine(checks.driver_info, details) is None


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"ipmi_port": 0}, "must be a port, 1 to 65535"),
        ({"ipmi_port": 65536}, "must be a port"),
        ({"ipmi_port": "65536"}, "must be a port"),
        ({"ipmi_port": "000001"}, "must be a port"),
        ({"ipmi_port": "x"}, "must be a port"),
        ({"ipmi_port": True}, "must be a port"),
        ({"ipmi_password": 7}, "must be text, not a number; write it in quotes"),
        ({"ipmi_password": None}, "must be text, not nothing"),
        ({"ipmi_address": None}, "has no value"),
        ({"ipmi_address": "a\nb"}, "contains an unprintable character"),
    ],
)
def test_details_that_no_driver_takes_are_refused(details, words):
    assert words in refused(checks.driver_info, details)
