"""The wire below sushy: one BMC, answers of bounded size and time, and patience with what passes.

All of sushy's requests go through `Wire`. What fails for good leaves it as `Failure`, past sushy;
what a service refuses comes back to sushy as its answer. Source: DSP0266 (Redfish Specification),
7.3 Status codes; RFC 9110, 10.2.3 Retry-After.
"""

import contextlib
import io
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError as WireError

from bakery.bmc import redfish_codes as codes
from bakery.bmc.answer import Failure
from bakery.bmc.masked import MASK
from bakery.host.printable import SHOWN_CHARACTERS, printable

ANSWER_LIMIT_BYTES = 4 << 20
PIECE_BYTES = 64 << 10
CONNECT_SECONDS = 10.0
FAREWELL_SECONDS = 1.5  # within what a program has left that is asked to end
ASK_AGAIN_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0
REPEATABLE = ("GET", "PATCH", "DELETE")
LOGIN = "/Sessions"  # the resource that a POST to begins a session: DSP0266, 13.3.4
CREATED, ACCEPTED, BAD_REQUEST, FORBIDDEN = 201, 202, 400, 403
GENERAL_ERROR = "Base.1.0.GeneralError"
PRIVILEGE_HINT = "give its user the privilege for it (Administrator)"
TRUST_HINT = (
    "name the CA of its certificate (redfish_verify_ca: /path/ca.pem), or turn the check "
    "off where the network to it can be trusted (redfish_verify_ca: false)"
)


class Pace:
    """How long a BMC is waited for: `seconds` in all, and `silence` seconds without an answer."""

    def __init__(self, seconds: float, silence: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._silence = silence
        self._heard = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() >= self._deadline

    @property
    def is_silent(self) -> bool:
        """Whether nothing came for too long."""
        return time.monotonic() >= self._heard + self._silence

    @property
    def patience(self) -> float:
        """How long one answer is waited for now."""
        now = time.monotonic()
        return max(1.0, min(self._heard + self._silence, self._deadline) - now)

    def heard(self) -> None:
        """An answer came."""
        self._heard = time.monotonic()

    def pause(self, seconds: float | None = None) -> None:
        """Wait before something is asked again, within what time there is."""
        seconds = ASK_AGAIN_SECONDS if seconds is None else seconds
        left = max(0.0, self._deadline - time.monotonic())
        time.sleep(min(seconds, LONGEST_PAUSE_SECONDS, left))


class Wire(HTTPAdapter):
    """Carries requests to the service at `origin`, a URL's scheme, host and port, and nowhere else.

    `waits_for_session` has a login wait for one that others hold. `secret` is taken out of
    refusals: a service may say a password back.
    """

    def __init__(self, origin: str, pace: Pace, *, waits_for_session: bool, secret: str) -> None:
        super().__init__()
        self._origin = _origin(origin)
        self._pace = pace
        self._waits_for_session = waits_for_session
        self._secret = secret
        self.leaving = False

    def send(  # type: ignore[override]  # its other parameters are the caller's own
        self, request: requests.PreparedRequest, *, verify: bool | str = True, **_more: object
    ) -> requests.Response:
        """The answer to a request; Failure where there is none that counts."""
        if _origin(request.url or "") != self._origin:
            raise Failure(
                "refused",
                f"it redirects to {printable(request.url or '', SHOWN_CHARACTERS)}",
                "name that address in the nodes file, if it is the BMC's",
            )
        while True:
            try:
                response = self._once(request, verify=verify)
            except Failure as failure:
                if not self._may_pass(failure, request):
                    raise
                self._pace.pause()
                continue
            self._pace.heard()
            if response.status_code == FORBIDDEN and not self.leaving:
                # sushy would log in once more, and forget the session it has.
                raise Failure("refused", words_of(response), PRIVILEGE_HINT)
            if not self._passes(response, request):
                return response
            if self._pace.is_over:
                raise Failure("busy", words_of(response))
            self._pace.pause(retry_after(response))

    def _once(self, request: requests.PreparedRequest, *, verify: bool | str) -> requests.Response:
        patience = FAREWELL_SECONDS if self.leaving else self._pace.patience
        timeout = (min(CONNECT_SECONDS, patience), patience)
        try:
            response = super().send(request, stream=True, timeout=timeout, verify=verify)
            body = self._read(response)
        except requests.exceptions.SSLError as error:
            raise _tls_failure(error) from None
        except requests.exceptions.ConnectTimeout:
            raise _Unsent("unreachable", "no connection") from None
        except requests.exceptions.ConnectionError as error:
            raise _connection_failure(error) from None
        except (requests.exceptions.RequestException, WireError, OSError) as error:
            raise Failure("no-answer", _cause(error)) from None
        if response.status_code >= BAD_REQUEST:
            body = _error(body, self._secret)
        response.raw = io.BytesIO(body)
        if response.status_code in (CREATED, ACCEPTED) and "Location" in response.headers:
            # A BMC may call itself by another name, or by an address inside: the path counts.
            response.headers["Location"] = _path(response.headers["Location"])
        return response

    def _read(self, response: requests.Response) -> bytes:
        """All of an answer's body, as long as it is one of bounded length, in bounded time."""
        body, until = b"", time.monotonic() + self._pace.patience
        with contextlib.closing(response.raw) as raw:
            while piece := raw.read1(PIECE_BYTES, decode_content=True):
                body += piece
                if len(body) > ANSWER_LIMIT_BYTES:
                    raise Failure("refused", f"it sends more than {ANSWER_LIMIT_BYTES >> 20} MiB")
                if time.monotonic() >= until:
                    raise Failure("no-answer", "an answer without an end")
        return body

    def _may_pass(self, failure: Failure, request: requests.PreparedRequest) -> bool:
        """Whether a request is made again that brought no answer.

        One that changes something is not, if it may have reached the BMC.
        """
        if self.leaving or self._pace.is_over or self._pace.is_silent:
            return False
        if isinstance(failure, _Unsent):
            return True
        repeatable = request.method in REPEATABLE or (request.url or "").endswith(LOGIN)
        return failure.kind == "no-answer" and repeatable

    def _passes(self, response: requests.Response, request: requests.PreparedRequest) -> bool:
        if self.leaving or response.status_code < BAD_REQUEST:
            return False
        body = document(response)
        if not self._waits_for_session and codes.no_session_free(body):
            return False
        return codes.passes(response.status_code, body, reading=request.method == "GET")


class _Unsent(Failure):
    """The request did not reach the BMC."""


def document(response: requests.Response) -> object:
    """What an answer says, if that is JSON; None where it is not."""
    return _parsed(response.content)


def _parsed(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found


def _error(body: bytes, secret: str = "") -> bytes:
    """A refusal in the shape of DSP0266, 8.6, which sushy takes for granted."""
    found = _parsed(body)
    told = found.get("error") if isinstance(found, Mapping) else None
    error = dict(told) if isinstance(told, Mapping) else {}
    for name, usual in (("code", GENERAL_ERROR), ("message", "")):
        if not isinstance(error.get(name), str):
            error[name] = usual
    info = error.get("@Message.ExtendedInfo")
    listed = info if isinstance(info, list) else [info]
    error["@Message.ExtendedInfo"] = [entry for entry in listed if isinstance(entry, Mapping)]
    text = json.dumps({"error": error})
    return (text.replace(json.dumps(secret)[1:-1], MASK) if secret else text).encode()


def words_of(response: requests.Response) -> str:
    """What a service says of a request that it refused."""
    return codes.words(response.status_code, document(response))


def retry_after(response: requests.Response) -> float:
    """When to ask again, in seconds, as far as the service says so in seconds."""
    told = response.headers.get("Retry-After", "")
    digits = told.strip()[:6]
    return float(digits) if digits.isascii() and digits.isdigit() else ASK_AGAIN_SECONDS


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", "", None)
    return (parts.scheme, (parts.hostname or "").lower(), port)


def _path(location: str) -> str:
    parts = urlsplit(location)
    return "/" + parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was made of, in the libraries' several ways."""
    left: list[object] = [error]
    for _ in range(16):
        if not left:
            return
        found = left.pop(0)
        if isinstance(found, BaseException):
            yield found
            left += [getattr(found, "reason", None), found.__cause__, found.__context__]
            left += found.args


def _cause(error: BaseException) -> str:
    """In words of the operating system where it has them; never the request itself."""
    for found in _chain(error):
        if isinstance(found, TimeoutError):
            return "no answer in time"
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
    return type(error).__name__


def _tls_failure(error: BaseException) -> Failure:
    for found in _chain(error):
        if isinstance(found, ssl.SSLCertVerificationError):
            return Failure("untrusted", found.verify_message or "its certificate", TRUST_HINT)
    return Failure("no-answer", "TLS failed")


def _connection_failure(error: BaseException) -> Failure:
    for found in _chain(error):
        if isinstance(found, socket.gaierror):
            return Failure("unreachable", found.strerror or "its name has no address")
        if isinstance(found, ssl.SSLCertVerificationError):
            return _tls_failure(error)
        if isinstance(found, ConnectionRefusedError):
            return _Unsent("unreachable", found.strerror or "refused")
        if isinstance(found, OSError) and type(found) is OSError and found.strerror:
            return _Unsent("unreachable", found.strerror)  # no route, no network
    return Failure("no-answer", _cause(error))
