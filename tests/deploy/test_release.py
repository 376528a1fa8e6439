"""The word on port 10000."""

import re
import socket

import pytest

from bakery.deploy.release import release
from bakery.errors import BakeryError
from tests.deploy.targets import free_port


def test_the_ramdisk_hears_done_and_the_end_of_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as ramdisk:
        release("127.0.0.1", ramdisk.getsockname()[1])
        link, _ = ramdisk.accept()
        with link, link.makefile("rb") as words:
            assert words.read() == b"done\n"


def test_a_port_that_was_never_opened_is_named():
    port = free_port()
    with pytest.raises(BakeryError, match=re.escape(f"127.0.0.1 port {port}: Connection refused")):
        release("127.0.0.1", port)
