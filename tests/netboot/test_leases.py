import contextlib
import subprocess
import sys
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.netboot import leases
from bakery.netboot.leases import Leases
from tests import durability
from tests.conftest import REPOSITORY

FIRST, SECOND, LAST = map(IPv4Address, ("10.0.0.10", "10.0.0.11", "10.0.0.12"))
A, B, C, D = (f"52:54:00:00:00:0{digit}" for digit in "abcd")

KILLED = """
import os, signal, sys
from ipaddress import IPv4Address
from pathlib import Path
from bakery.netboot.leases import Leases
book = Leases(Path(sys.argv[1]), IPv4Address("10.0.0.10"), IPv4Address("10.0.0.12"))
for mac in sys.argv[2:]:
    assert book.bind(mac, book.offer(mac))
os.kill(os.getpid(), signal.SIGKILL)
"""


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "leases"


@pytest.fixture
def book(journal, clock):
    with contextlib.closing(Leases(journal, FIRST, LAST, seconds=100, clock=clock)) as made:
        yield made


def take(book, mac):
    address = book.offer(mac)
    assert address is not None and book.bind(mac, address)
    return address


def test_each_client_gets_an_address_of_its_own_until_none_is_left(book):
    assert [take(book, mac) for mac in (A, B, C)] == [FIRST, SECOND, LAST]
    assert book.offer(D) is None


def test_a_client_gets_its_own_address_again(book, clock):
    take(book, A)
    mine = take(book, B)
    clock.now += 1000
    assert book.offer(B) == mine


def test_an_offer_is_kept_free_and_then_free_again(book, clock):
    assert book.offer(A) == FIRST
    assert book.offer(B) == SECOND
    assert not book.bind(B, FIRST)
    clock.now += leases.OFFER_SECONDS + 1
    assert book.bind(B, FIRST)


def test_a_wanted_address_is_given_if_it_is_free(book):
    assert book.offer(A, wanted=LAST) == LAST
    assert book.offer(B, wanted=LAST) == FIRST
    assert book.offer(C, wanted=IPv4Address("10.0.0.99")) == SECOND


def test_an_ended_lease_goes_to_who_needs_it_the_longest_ended_first(book, clock):
    for mac in (A, B, C):
        take(book, mac)
        clock.now += 1
    clock.now += 1000
    assert take(book, D) == FIRST
    assert book.of(A) is None


def test_a_client_that_moves_holds_one_address(book):
    take(book, A)
    assert book.bind(A, LAST)
    assert take(book, B) == FIRST


def test_a_released_address_is_free_and_another_s_cannot_be_released(book):
    mine = take(book, A)
    assert not book.release(B, mine)
    assert book.release(A, mine)
    assert book.bind(B, mine)


def test_a_declined_address_rests(book, clock):
    mine = take(book, A)
    assert not book.decline(B, mine)
    assert book.decline(A, mine)
    assert book.offer(A) == SECOND
    assert not book.bind(B, mine)
    clock.now += leases.DECLINED_SECONDS + 1
    assert book.bind(B, mine)


def test_a_promised_address_is_the_only_one(book):
    promised = IPv4Address("10.0.0.200")
    assert book.offer(A, fixed=promised) == promised
    assert not book.bind(A, FIRST, fixed=promised)
    assert book.bind(A, promised, fixed=promised)


def test_leases_survive_a_kill(journal):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, journal, A, B], cwd=REPOSITORY, check=False
    )
    assert done.returncode == -9
    with contextlib.closing(Leases(journal, FIRST, LAST)) as book:
        assert book.offer(C) == LAST
        assert (book.offer(A), book.offer(B)) == (FIRST, SECOND)


@settings(deadline=None)
@given(st.integers(0, 250))
def test_a_journal_cut_anywhere_keeps_all_whole_lines(tmp_path_factory, cut):
    journal = tmp_path_factory.mktemp("leases") / "journal"
    with contextlib.closing(Leases(journal, FIRST, LAST)) as book:
        for mac in (A, B, C):
            take(book, mac)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:cut])
    with contextlib.closing(Leases(journal, FIRST, LAST)) as book:
        held = [mac for mac in (A, B, C) if book.of(mac)]
    assert held == [A, B, C][: whole[:cut].count(b"\n")]


@pytest.mark.parametrize(
    "line", ["garbage", "{}", '{"address":"x","mac":"","until":0}', "[1]", '{"a":' + "[" * 100_000]
)
def test_a_damaged_journal_is_refused_with_the_line(journal, line):
    journal.write_text(f'{{"address":"10.0.0.10","mac":"{A}","until":1}}\n{line}\n')
    with pytest.raises(BakeryError, match=r"damaged in line 2") as caught:
        Leases(journal, FIRST, LAST)
    assert "move it away" in caught.value.hint


def test_a_journal_too_large_is_refused(journal):
    with journal.open("wb") as file:
        file.truncate(leases.JOURNAL_LIMIT_BYTES + 1)
    with pytest.raises(BakeryError, match="too large"):
        Leases(journal, FIRST, LAST)


def test_a_journal_serves_one_server_at_a_time(book, journal):
    with pytest.raises(BakeryError, match="another DHCP server"):
        Leases(journal, FIRST, LAST)


def test_a_journal_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(BakeryError, match="cannot be used"):
        Leases(tmp_path / "none" / "leases", FIRST, LAST)


def test_the_journal_does_not_grow_without_bound(book, journal):
    for _ in range(leases.SPARE_LINES * 2):
        take(book, A)
    assert len(journal.read_bytes().splitlines()) <= leases.SPARE_LINES + 2
    assert book.of(A)


def test_a_lease_is_on_the_disk_before_the_client_is_told(book, journal, on_disk):
    take(book, A)
    assert durability.state(journal.stat()) in [one for _, one in on_disk.synced]


def test_a_journal_written_anew_is_on_the_disk_before_it_has_its_name(book, journal, on_disk):
    take(book, A)
    while "leases" not in on_disk.names():
        assert book.bind(A, FIRST)
        assert len(journal.read_bytes().splitlines()) <= leases.SPARE_LINES + 1
    on_disk.assert_durable(journal)
    assert book.bind(A, FIRST)
    assert len(journal.read_bytes().splitlines()) == 2


def test_the_address_of_a_client_is_the_one_it_was_given_last(book):
    assert book.address(A) == ""
    address = take(book, A)
    assert (book.address(A), book.address(B)) == (str(address), "")
    book.decline(A, address)
    assert book.address(A) == ""


def test_a_client_that_declines_again_and_again_is_heeded_a_few_times_alone(journal, clock):
    last = FIRST + 200
    with contextlib.closing(Leases(journal, FIRST, last, seconds=100, clock=clock)) as book:
        heeded = 0
        for _ in range(100):
            address = book.offer(A)
            assert address is not None
            heeded += book.decline(A, address)
        assert heeded == leases.DECLINES
        assert take(book, B)
        clock.now += leases.DECLINED_SECONDS + 1
        again = book.offer(A)
        assert again and book.decline(A, again)


def test_an_address_that_was_seen_in_use_stays_whatever_is_sent_for_its_client(book, clock):
    address = take(book, A)
    book.seen(str(address))
    assert not book.decline(A, address)
    assert not book.release(A, address)
    assert not book.bind(A, LAST)
    assert book.bind(A, address)
    assert book.address(A) == str(address)
    clock.now += 101
    assert book.bind(A, LAST)


def test_an_address_that_nobody_holds_is_not_seen(book):
    book.seen(str(FIRST))
    assert book.decline(A, take(book, A))


WITHIN = (IPv4Address("10.9.0.10"), IPv4Address("10.9.0.11"))


def test_who_is_on_another_network_gets_an_address_of_its_range(book):
    assert book.offer(A, within=WITHIN) == WITHIN[0]
    assert not book.bind(A, FIRST, within=WITHIN)
    assert book.bind(A, WITHIN[0], within=WITHIN)
    assert book.offer(B, WITHIN[0], within=WITHIN) == WITHIN[1]
    assert not book.bind(B, WITHIN[1]), "here it is none"
    assert book.offer(B) == FIRST


def test_who_moves_to_another_network_has_one_address_all_the_same(book):
    take(book, A)
    assert book.offer(A, within=WITHIN) == WITHIN[0]
    assert book.bind(A, WITHIN[0], within=WITHIN)
    assert book.address(A) == str(WITHIN[0])
    assert take(book, B) == FIRST
