"""TLS for what is served: the certificate, and a handshake that ends in time."""

import select
import ssl
import time
from pathlib import Path
from typing import NoReturn

from bakery.host import secret_file
from bakery.host.errors import BakeryError


def context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """A server's, of a certificate chain in PEM and its key, which may be in the same file.

    TLS 1.2 or later. BakeryError where a file cannot be read, they do not belong together, the key
    has a password, or other users can read it.
    """
    secret_file.check(key or certificate)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(certificate, key, password=_refuse_password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise BakeryError(
            f"{certificate} cannot be served by: {str(reason).replace('_', ' ').lower()}",
            "give a certificate chain in PEM and its key, without a password",
        ) from None
    return made


def handshake(connection: ssl.SSLSocket, seconds: float) -> str:
    """Carry it out within `seconds`; why it failed, empty where it did not."""
    deadline = time.monotonic() + seconds
    connection.settimeout(0)
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            event = select.POLLIN
        except ssl.SSLWantWriteError:
            event = select.POLLOUT
        except OSError as error:
            return str(getattr(error, "reason", "") or error or type(error).__name__)
        else:
            return ""
        poll = select.poll()
        poll.register(connection, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return f"the handshake took more than {seconds:g} s"


def _refuse_password() -> NoReturn:
    raise ValueError("its key has a password")
