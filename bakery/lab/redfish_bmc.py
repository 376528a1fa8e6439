"""A BMC for each node that speaks Redfish: who may ask it, and what it does when it is told to.

Source: DSP0266 (Redfish Specification), 7 Protocol details, 8.6 Error responses, 13.3
Authentication; DSP8011, the Base message registry, whose messages it says.
"""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from bakery.bmc.masked import Masked
from bakery.host.errors import BakeryError
from bakery.host.printable import printable
from bakery.lab import redfish_resources as resources
from bakery.lab.nodes import VirtualNode
from bakery.lab.orders import NotTaken, Orders
from bakery.lab.redfish_resources import Document, Session, Shown

MOST_SESSIONS = 16
TOKEN_BYTES = 24
PUBLIC = (resources.ROOT, "/redfish", f"{resources.ROOT}/odata", f"{resources.ROOT}/$metadata")
LOGINS = (resources.SESSIONS, f"{resources.SESSIONS}/Members")
MEDIA_SCHEMES = {"HTTP": "http://", "HTTPS": "https://"}
REGISTRY = "Base.1.18"

Method = Literal["GET", "HEAD", "PATCH", "POST", "DELETE"]


class Reply(msgspec.Struct, frozen=True):
    """An answer: its status, what it says (a document or a text), and headers of its own."""

    status: int = 204
    body: Document | str | None = None
    headers: Mapping[str, str] = {}


MESSAGES = {
    "NoValidSession": "There is no valid session established with the implementation.",
    "SessionLimitExceeded": "The session establishment failed due to the number of "
    "simultaneous sessions exceeding the limit of the implementation.",
    "ResourceMissingAtURI": "The resource at the URI '{}' was not found.",
    "OperationNotAllowed": "The HTTP method is not allowed on this resource.",
    "MalformedJSON": "The request body submitted was malformed JSON.",
    "PropertyUnknown": "The property '{}' is not in the list of valid properties.",
    "PropertyNotWritable": "The property '{}' is a read-only property.",
    "PropertyValueNotInList": "The value '{}' for the property '{}' is not in the list of "
    "acceptable values.",
    "ActionParameterMissing": "The action '{}' requires the parameter '{}'.",
    "ActionParameterNotSupported": "The parameter '{}' for the action '{}' is not supported.",
    "ActionParameterValueNotInList": "The value '{}' for the parameter '{}' in the action "
    "'{}' is not in the list of acceptable values.",
    "PreconditionFailed": "The ETag supplied did not match the current ETag.",
    "ResourceInUse": "The change to the requested resource failed because it is in use.",
    "ServiceTemporarilyUnavailable": "The service is temporarily unavailable. Retry in {} seconds.",
    "GeneralError": "{}",
}


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, *arguments: str) -> None:
        super().__init__(message)
        entry = {
            "@odata.type": "#Message.v1_1_2.Message",
            "MessageId": f"{REGISTRY}.{message}",
            "Message": MESSAGES[message].format(*(printable(word, 300) for word in arguments)),
            "MessageArgs": [printable(word, 300) for word in arguments],
            "Severity": "Warning",
            "Resolution": "None.",
        }
        error = {"code": entry["MessageId"], "message": entry["Message"]}
        body: Document = {"error": error | {"@Message.ExtendedInfo": [entry]}}
        headers = {"WWW-Authenticate": 'Basic realm="BMC"'} if status == 401 else {}
        headers |= {"Retry-After": "5"} if status == 503 else {}
        self.reply = Reply(status, body, headers)


class _Open(Masked, frozen=True):
    """A session, the secret that stands for it (as `password`), and until when it is good."""

    session: Session
    password: str
    until: float


class RedfishBmc:
    """Answers for one node; `orders` take what changes it. Its calls may come from any thread."""

    def __init__(self, node: VirtualNode, orders: Orders) -> None:
        self._node = node
        self._orders = orders
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._count = 0
        self._target = "None"

    def answer(
        self,
        method: Method,
        path: str,
        *,
        headers: Mapping[str, str] = {},
        body: bytes = b"",
        client: str = "",
    ) -> Reply:
        """What a request is answered with; `headers` are by names in lower case."""
        path = path.partition("?")[0].rstrip("/")
        try:
            if method == "POST" and path in LOGINS:
                return self._log_in(body, client)
            if path not in PUBLIC and not self._knows(headers):
                raise Refusal(401, "NoValidSession")
            if method in ("GET", "HEAD"):
                return self._read(path)
            return self._change(method, path, headers, body)
        except Refusal as refusal:
            return refusal.reply

    def _read(self, path: str) -> Reply:
        if path == "/redfish":
            return Reply(200, {"v1": f"{resources.ROOT}/"})
        if path == f"{resources.ROOT}/odata":
            return Reply(200, resources.odata())
        if path == f"{resources.ROOT}/$metadata":
            return Reply(200, resources.metadata())
        found = self._resource(path)
        return Reply(200, found, {"ETag": _etag(found), "Allow": _allowed(path)})

    def _change(self, method: Method, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        actions: dict[str, Callable[[Document], None]] = {
            resources.RESET: self._reset,
            resources.INSERT: self._insert,
            resources.EJECT: self._eject,
        }
        if method == "POST" and path in actions:
            actions[path](_document(body))
            return Reply()
        found = self._resource(path)
        if method == "DELETE" and path.startswith(f"{resources.SESSIONS}/"):
            with self._lock:
                self._open.pop(path.rpartition("/")[2], None)
            return Reply()
        if method == "PATCH" and path == resources.SYSTEM:
            match = headers.get("if-match", "*")
            if match not in ("*", _etag(found)):
                raise Refusal(412, "PreconditionFailed")
            self._set_boot(_document(body))
            return Reply()
        refusal = Refusal(405, "OperationNotAllowed").reply
        return msgspec.structs.replace(refusal, headers={"Allow": _allowed(path)})

    def _resource(self, path: str) -> Document:
        with self._lock:
            now = time.monotonic()
            self._open = {key: one for key, one in self._open.items() if one.until > now}
            sessions = tuple(one.session for one in self._open.values())
        found = resources.resource(path, Shown(self._node, sessions, self._target))
        if found is None:
            raise Refusal(404, "ResourceMissingAtURI", path)
        return found

    def _log_in(self, body: bytes, client: str) -> Reply:
        login = _document(body)
        if not self._is_user(login.get("UserName"), login.get("Password")):
            raise Refusal(401, "NoValidSession")
        with self._lock:
            now = time.monotonic()
            self._open = {key: one for key, one in self._open.items() if one.until > now}
            if len(self._open) >= MOST_SESSIONS:
                raise Refusal(503, "SessionLimitExceeded")
            self._count += 1
            number, token = str(self._count), secrets.token_hex(TOKEN_BYTES)
            since = dt.datetime.now(dt.UTC)
            session = Session(number, self._node.bmc.username, since, client)
            self._open[number] = _Open(session, token, now + resources.SESSION_SECONDS)
        place = f"{resources.SESSIONS}/{number}"
        headers = {"Location": place, "X-Auth-Token": token}
        return Reply(201, self._resource(place), headers)

    def _knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request is the user's: by a session's token, which it prolongs, or by name."""
        token = headers.get("x-auth-token")
        if token is not None:
            return self._prolonged(token)
        kind, _, word = headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            name, _, password = base64.b64decode(word, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return False
        return self._is_user(name, password)

    def _prolonged(self, token: str) -> bool:
        now = time.monotonic()
        with self._lock:
            for key, one in self._open.items():
                if one.until > now and _same(token, one.password):
                    until = now + resources.SESSION_SECONDS
                    self._open[key] = msgspec.structs.replace(one, until=until)
                    return True
        return False

    def _is_user(self, name: object, password: object) -> bool:
        access = self._node.bmc
        known = isinstance(name, str) and isinstance(password, str)
        return known and _same(str(name), access.username) & _same(str(password), access.password)

    def _reset(self, parameters: Document) -> None:
        (kind,) = _parameters("Reset", parameters, needed=("ResetType",))
        if kind not in resources.RESET_TYPES:
            raise Refusal(400, "ActionParameterValueNotInList", str(kind), "ResetType", "Reset")
        acts: dict[object, Callable[[], None]] = {
            "On": self._node.power_on,
            "ForceOff": self._node.power_off,
            "GracefulShutdown": self._node.shut_down,
            "ForceRestart": self._node.reset,
            "PowerCycle": self._cycle,
        }
        if kind in ("ForceRestart", "PowerCycle", "GracefulShutdown") and not self._node.on:
            raise Refusal(400, "GeneralError", "The system is off.")
        self._have_done(acts[kind])

    def _cycle(self) -> None:
        self._node.power_off()
        self._node.power_on()

    def _insert(self, parameters: Document) -> None:
        values = _parameters(
            "InsertMedia",
            parameters,
            needed=("Image",),
            others=("Inserted", "WriteProtected", "TransferProtocolType", "TransferMethod"),
        )
        image, inserted, protected, protocol, method = values
        expected = MEDIA_SCHEMES.get(str(protocol or "HTTP"), "http://")
        for name, value, known in (
            ("Inserted", inserted, (None, True)),
            ("WriteProtected", protected, (None, True)),
            ("TransferProtocolType", protocol, (None, *MEDIA_SCHEMES)),
            ("TransferMethod", method, (None, "Stream")),
        ):
            if value not in known:
                raise Refusal(400, "ActionParameterNotSupported", name, "InsertMedia")
        starts = (expected,) if protocol else tuple(MEDIA_SCHEMES.values())
        if not isinstance(image, str) or not image.startswith(starts):
            raise Refusal(400, "ActionParameterValueNotInList", "Image", "Image", "InsertMedia")
        if self._node.media:
            raise Refusal(409, "ResourceInUse")
        self._have_done(lambda: self._node.insert_media(image))

    def _eject(self, parameters: Document) -> None:
        _parameters("EjectMedia", parameters)
        self._have_done(self._node.eject_media)

    def _set_boot(self, changes: Document) -> None:
        """PATCH of the system: its Boot alone can be changed."""
        for name in changes:
            if name != "Boot" and not name.startswith("@odata."):
                raise Refusal(400, "PropertyNotWritable", name)
        wanted = changes.get("Boot", {})
        if not isinstance(wanted, dict):
            raise Refusal(400, "PropertyUnknown", "Boot")
        now = resources.boot(Shown(self._node, target=self._target))
        for name, value in wanted.items():
            allowed = now.get(f"{name}{resources.ALLOWED}")
            if not isinstance(allowed, list):
                raise Refusal(400, "PropertyUnknown", str(name))
            if value not in allowed:
                raise Refusal(400, "PropertyValueNotInList", str(value), str(name))
        boot = now | wanted
        target = str(boot["BootSourceOverrideTarget"])
        enabled = boot["BootSourceOverrideEnabled"]
        device = resources.TARGETS[target] if enabled != "Disabled" else None
        self._target = "None" if device else target
        persistent = enabled == "Continuous"
        self._have_done(lambda: self._node.boot_from(device, persistent=persistent))

    def _have_done(self, act: Callable[[], None]) -> None:
        try:
            self._orders.give(act)
        except NotTaken:
            raise Refusal(503, "ServiceTemporarilyUnavailable", "5") from None
        except BakeryError as error:
            raise Refusal(400, "GeneralError", error.message) from None
        except OSError as error:
            self._node.fault = str(error)
            raise Refusal(400, "GeneralError", error.strerror or "It failed.") from None


def _parameters(
    action: str, given: Document, *, needed: tuple[str, ...] = (), others: tuple[str, ...] = ()
) -> tuple[object, ...]:
    for name in given:
        if name not in (*needed, *others):
            raise Refusal(400, "ActionParameterNotSupported", name, action)
    for name in needed:
        if name not in given:
            raise Refusal(400, "ActionParameterMissing", action, name)
    return tuple(given.get(name) for name in (*needed, *others))


def _document(body: bytes) -> Document:
    """A request's body: an object; nothing is an empty one."""
    try:
        found = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, "MalformedJSON")
    return found


def _allowed(path: str) -> str:
    if path == resources.SYSTEM:
        return "GET, HEAD, PATCH"
    if path in LOGINS:
        return "GET, HEAD, POST"
    if path.startswith(f"{resources.SESSIONS}/"):
        return "GET, HEAD, DELETE"
    return "POST" if "/Actions/" in path else "GET, HEAD"


def _etag(found: Document) -> str:
    """One for what the resource says, its clock left out."""
    told = {name: value for name, value in found.items() if name != "DateTime"}
    text = json.dumps(told, sort_keys=True).encode()
    return f'"{hashlib.sha256(text).hexdigest()[:16]}"'


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
