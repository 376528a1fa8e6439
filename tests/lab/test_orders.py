import threading
import time

import pytest

from bakery.host.errors import BakeryError
from bakery.lab.orders import MOST_WAITING, NotTaken, Orders


def test_an_order_is_carried_out_by_the_thread_that_asks_for_it():
    orders, threads = Orders(), []
    giver = threading.Thread(
        target=lambda: orders.give(lambda: threads.append(threading.get_ident()))
    )
    giver.start()
    while giver.is_alive():
        orders.carry_out()
        time.sleep(0.01)
    assert threads == [threading.get_ident()]


@pytest.mark.parametrize("error", [BakeryError("it is broken"), OSError(5, "it is gone")])
def test_who_gave_it_hears_how_it_failed(error):
    orders, heard = Orders(), []

    def act():
        raise error

    def give():
        try:
            orders.give(act)
        except (BakeryError, OSError) as caught:
            heard.append(caught)

    giver = threading.Thread(target=give)
    giver.start()
    while giver.is_alive():
        orders.carry_out()
        time.sleep(0.01)
    assert heard == [error]


def test_an_order_that_nobody_takes_is_given_up():
    orders = Orders(wait_seconds=0.01)
    with pytest.raises(NotTaken, match=r"within 0.01 s"):
        orders.give(lambda: None)


def test_orders_are_bounded():
    orders = Orders(wait_seconds=0)
    for _ in range(MOST_WAITING):
        with pytest.raises(NotTaken, match="within"):
            orders.give(lambda: None)
    with pytest.raises(NotTaken, match="too many"):
        orders.give(lambda: None)
