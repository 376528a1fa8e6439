"""The records that pass between a command and its conductor."""

from pathlib import Path

import msgspec

from bakery.conductor.messages import Message, Request
from bakery.conductor.partition import Extras


def test_what_is_not_said_is_the_usual():
    text = b'{"nodes":[],"build":"b","ramdisk":"r","interface":"i","address":"a","state":"s"}'
    request = msgspec.json.decode(text, type=Request)
    assert (request.method, request.multicast, request.bios, request.uefi) == (
        *("iscsi", True, "pxelinux", "ipxe"),
    )
    assert (request.attempts, request.ramdisk_seconds, request.running_seconds) == (3, 300, 900)
    assert request.extras == Extras()


def test_extras_are_what_the_request_says():
    request = Request(
        nodes=(), build="", ramdisk="", interface="", address="", state="",
        ephemeral_mib=1, swap_mib=2, config_drive="/drive",
    )  # fmt: skip
    assert request.extras == Extras(1, 2, Path("/drive"))


def test_a_message_has_only_what_it_tells():
    assert msgspec.json.encode(Message(error="why")) == b'{"error":"why"}'
    assert msgspec.json.decode(b'{"results":[]}', type=Message).results == ()
