"""Who gets a place, and who must not be kept from one."""

from bakery.netboot.shares import Shares

STRANGER, ANOTHER, NODE = "192.0.2.9", "192.0.2.10", "192.0.2.7"


def test_a_client_has_its_share_and_no_more_until_it_gives_back():
    shares = Shares(10, 2)
    assert [shares.take(STRANGER) for _ in range(3)] == [True, True, False]
    assert shares.take(ANOTHER)
    shares.give_back(STRANGER)
    assert [shares.take(STRANGER) for _ in range(2)] == [True, False]


def test_strangers_with_any_number_of_addresses_leave_the_nodes_their_places():
    shares = Shares(10, 2, 4, lambda address: address == NODE)
    taken = [address for number in range(99) if shares.take(address := f"198.51.100.{number}")]
    assert len(taken) == 6
    assert [shares.take(NODE) for _ in range(3)] == [True, True, False]
    assert not shares.take(STRANGER)


def test_all_places_together_are_bounded_for_nodes_too():
    shares = Shares(3, 2, 1, lambda _address: True)
    assert [shares.take(str(number)) for number in range(5)] == [True] * 3 + [False] * 2
