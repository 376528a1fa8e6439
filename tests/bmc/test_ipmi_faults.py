"""BMCs as they are met: busy, full, slow, half made; on a wire that loses and repeats."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from bakery.bmc.ipmi import Bmc
from bakery.host.errors import BakeryError
from tests.bmc.wire import (
    IPMI_1_5,
    OPEN_ANSWER,
    OPEN_REQUEST,
    RAKP2,
    RAKP4,
    Wire,
    late,
    lost,
    payload,
    refusal,
)
from tests.conftest import REPOSITORY

GET_STATUS, CONTROL, BOOT_OPTIONS = "1", "2", "8"
VALID_BIT_CLEARING, BOOT_FLAGS = "8.3", "8.5"
SHORT_SECONDS = 3.0


class Fake:
    """A BMC with faults, a client of it, and the boot options it was given."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        self.options: list[str] = []
        self._lines = process.stdout
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        self.options.extend(line.strip() for line in self._lines)

    def client(self, port=0, **more):
        return Bmc("127.0.0.1", port or self.port, "admin", "secret", **more)


@pytest.fixture
def start() -> Iterator[Callable[..., Fake]]:
    running: list[subprocess.Popen[str]] = []

    def begin(faults=None):
        words = [sys.executable, "-m", "tests.bmc.faulty_bmc", json.dumps(faults or {})]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        running.append(process)
        return Fake(process)

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def told(call):
    with pytest.raises(BakeryError) as caught:
        call()
    return caught.value.message


@pytest.mark.parametrize("code", [0xC0, 0xC3, 0xD2])
def test_a_command_that_meets_a_busy_bmc_is_given_again(start, code):
    fake = start({CONTROL: [code] * 2, GET_STATUS: [code]})
    fake.client().power_on()
    assert fake.client().power() == "on"


def test_a_bmc_that_stays_busy_names_itself_after_the_time_it_was_given(start):
    client = start({CONTROL + "!": [0xC0]}).client(seconds=SHORT_SECONDS)
    message = told(client.power_on)
    assert f"was not ready to switch the node on within {SHORT_SECONDS:g} s" in message
    assert message.endswith("Node Busy (C0h)")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0xC1, "Invalid command (C1h)"),
        (0xD4, "Insufficient privilege level or firmware firewall (D4h)"),
        (0xFF, "Unspecified (FFh)"),
        (0x9E, "Unknown code 0x9e encountered (9Eh)"),
    ],
)
def test_a_refusal_that_stays_is_told_at_once(start, code, words):
    """Given once more, the command would be carried out."""
    message = told(start({CONTROL: [code]}).client().power_on)
    assert message.endswith(f"refuses to switch the node on: {words}")


@pytest.mark.parametrize("code", [0x80, 0xC9, 0xCC])
def test_a_boot_device_is_set_where_the_valid_bit_cannot_be_kept(start, code):
    fake = start({VALID_BIT_CLEARING + "!": [code]})
    fake.client().boot_from("network")
    assert fake.options[-1] == "05a004000000"


def test_boot_flags_that_are_refused_are_no_success(start):
    fake = start({BOOT_FLAGS: [0xCC]})
    assert "refuses to boot from disk: Invalid data" in told(
        lambda: fake.client().boot_from("disk")
    )


def test_others_that_set_boot_options_are_waited_for(start):
    fake = start({BOOT_FLAGS: [0x81]})
    fake.client().boot_from("disk")
    assert fake.options == ["0308", "05a008000000", "05a008000000"]


@pytest.mark.parametrize(
    ("firmware", "device", "persistent", "flags"),
    [
        ("uefi", "network", False, "05a004000000"),
        ("uefi", "disk", True, "05e008000000"),
        ("bios", "network", False, "058004000000"),
        ("bios", "disk", True, "05c008000000"),
    ],
)
def test_boot_flags_are_for_the_nodes_firmware(start, firmware, device, persistent, flags):
    """IPMI v2.0, table 28-14: data 1 is valid, persistent, EFI; data 2 the device."""
    fake = start()
    fake.client(firmware=firmware).boot_from(device, persistent=persistent)
    assert fake.options == ["0308", flags]


@pytest.mark.parametrize("status", [0x01, 0x0B])
def test_a_free_session_is_waited_for(start, status):
    left = [3]

    def full(packet: bytes) -> bytes | None:
        if payload(packet) == OPEN_REQUEST and left[0]:
            left[0] -= 1
            return refusal(packet, status)
        return None

    fake = start()
    assert fake.client(Wire(fake.port, front=full).port).power() == "off"
    assert left == [0]


def test_a_bmc_without_a_free_session_is_no_wrong_password(start):
    def full(packet: bytes) -> bytes | None:
        return refusal(packet, 1) if payload(packet) == OPEN_REQUEST else None

    fake = start()
    client = fake.client(Wire(fake.port, front=full).port, seconds=SHORT_SECONDS)
    message = told(client.power)
    assert "was not ready to report the node's power within 3 s: Insufficient resources" in message
    assert "(01h)" in message


def test_a_role_that_the_bmc_does_not_have_is_final(start):
    def picky(packet: bytes) -> bytes | None:
        return refusal(packet, 0x0C) if payload(packet) == OPEN_REQUEST else None

    fake = start()
    message = told(fake.client(Wire(fake.port, front=picky).port).power)
    assert message.endswith("denies login as 'admin': Invalid username length")


@pytest.mark.parametrize("kind", [IPMI_1_5, OPEN_ANSWER, RAKP2, RAKP4])
def test_an_answer_that_comes_late_counts(start, kind):
    fake = start()
    assert fake.client(Wire(fake.port, back=late(kind, 2.2)).port).power() == "off"


@pytest.mark.slow
def test_a_bmc_that_takes_long_for_every_answer_is_waited_for(start):
    def slow(packet: bytes) -> list[bytes]:
        return late(payload(packet), 2.5)(packet)

    fake = start()
    fake.client(Wire(fake.port, back=slow).port).power_on()
    assert fake.client().power() == "on"


@pytest.mark.parametrize("kind", [IPMI_1_5, OPEN_ANSWER, RAKP2, RAKP4])
def test_an_answer_that_is_lost_is_asked_for_again(start, kind):
    fake = start()
    assert fake.client(Wire(fake.port, back=lost(kind, 1)).port).power() == "off"


def test_answers_that_come_twice_are_taken_once(start):
    fake = start()
    wire = Wire(fake.port, back=lambda packet: [packet, packet])
    fake.client(wire.port).power_on()
    assert fake.client(wire.port).power() == "on"


def test_packets_that_are_cut_off_are_no_answers(start):
    fake = start()
    wire = Wire(fake.port, back=lambda packet: [packet[:n] for n in (1, 5, 15, 17, 21)] + [packet])
    assert fake.client(wire.port).power() == "off"


def test_a_bmc_that_says_nothing_is_given_up_after_the_silence_it_may_keep(start):
    wire = Wire(start().port, back=lambda _packet: [])
    client = Bmc("127.0.0.1", wire.port, "admin", "secret", silence_seconds=2)
    assert told(client.power).endswith("does not answer")
    assert wire.counts[IPMI_1_5] > 1


def test_a_name_without_an_address_is_no_wrong_password():
    message = told(Bmc("no-such-host.invalid", 623, "admin", "secret").power)
    assert "cannot be reached: " in message


def test_a_session_is_closed_when_it_is_done_with(start):
    """A BMC has few of them, and forgets one that was left only after a minute."""
    closed = []
    fake = start()
    wire = Wire(fake.port)
    for _ in range(2):
        fake.client(wire.port).power()
        closed.append(wire.counts.get(0, 0))
    # set privilege, get status, close session
    assert closed == [3, 6]
