from rich.pretty import pretty_repr

from bakery.bmc.access import IpmiAccess, RedfishAccess
from bakery.bmc.ipmi_worker import Request


def test_no_record_shows_its_password():
    records = [
        IpmiAccess("192.0.2.7", 623, "admin", "hunter2"),
        RedfishAccess("https://192.0.2.7", username="admin", password="hunter2"),
        Request("192.0.2.7", 623, "admin", "hunter2"),
    ]
    for record in records:
        shown = [repr(record), str(record), f"{record!r}", pretty_repr(record), repr([record])]
        assert not any("hunter2" in text for text in shown)
        assert all("192.0.2.7" in text and "password='******'" in text for text in shown)


def test_that_there_is_no_password_is_shown():
    assert "password=''" in repr(IpmiAccess("192.0.2.7"))
