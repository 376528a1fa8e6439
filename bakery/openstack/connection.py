"""The way to a cloud: openstacksdk's own configuration, and its failures in words.

clouds.yaml, secure.yaml and every OS_* variable mean here what they mean to openstacksdk.
"""

import html
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bakery.host.errors import BakeryError
from bakery.host.printable import printable

if TYPE_CHECKING:
    from openstack.connection import Connection

TEXT_LIMIT = 300
# The page of a refusal has its status as title and as heading: `403 Forbidden 403 Forbidden …`.
REPEATED_STATUS = re.compile(r"^([45][0-9]{2} [A-Za-z ]{1,40}?) \1 ?")
GO_ON_HINT = "run the same command again: it continues where this one stopped"


class CloudError(BakeryError):
    """The cloud refused something or could not be reached; `status` is the HTTP one, if any."""

    def __init__(self, message: str, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint)
        self.status = status

    def knowing(self, on_server: str) -> "CloudError":
        """The same failure, and what exists on the server now."""
        return CloudError(f"{self.message}; {on_server}", self.hint, self.status)


class Answer(Exception):
    """An HTTP answer that is a refusal: its status and the words in it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status
        self.text = text


def connect(cloud: str | None) -> "Connection":
    """A connection to `cloud`, logged in; None leaves the choice to OS_CLOUD and the like.

    Raises CloudError where there is no such cloud, where it cannot be reached, and where it does
    not let us in.
    """
    import openstack

    wanted = cloud or os.environ.get("OS_CLOUD") or None  # by name, the SDK checks that it is there
    name = wanted or "the cloud"
    try:
        connection = openstack.connect(cloud=wanted, app_name="bakery")
        connection.session.get_token()
    except Exception as error:
        if str(error).startswith("Cloud ") and str(error).endswith(" was not found."):
            raise _no_such_cloud(name) from error
        raise explained(error, f"cannot log in to {name}") from error
    return connection


def explained(error: Exception, what: str, on_server: str = "") -> CloudError:
    """A failure of openstacksdk, keystoneauth or requests as one line.

    `what` says what was tried, `on_server` what exists on the server now.
    """
    if isinstance(error, CloudError):
        return error.knowing(on_server) if on_server else error
    status = status_of(error)
    reason, hint = _by_status(status, _text(error)) if status else _by_kind(error)
    message = f"{what}: {reason}" + (f"; {on_server}" if on_server else "")
    return CloudError(message, hint, status)


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind a failure, or None where no answer came."""
    for attribute in ("status", "status_code", "http_status"):
        value = getattr(error, attribute, None)
        if isinstance(value, int) and value >= 300:
            return value
    return None


def json_of(content: bytes, what: str, service: str) -> object:
    """The JSON of an answer, an empty object where it has none; `service` should have given it."""
    import msgspec

    if not content.strip():
        return {}
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CloudError(f"{what}: the answer is not JSON", f"is this the {service}?") from error


def plain(text: str) -> str:
    """What a server says, as one line without markup, of bounded length."""
    bare = html.unescape(re.sub(r"<[^>]{0,200}>", " ", text[: 16 * TEXT_LIMIT]))
    words = REPEATED_STATUS.sub("", " ".join(bare.split()))
    return printable(words, TEXT_LIMIT)


def _no_such_cloud(name: str) -> CloudError:
    from openstack.config import OpenStackConfig

    # `defaults` is what the SDK makes up where it was told nothing.
    known = sorted(set(OpenStackConfig().get_cloud_names()) - {"defaults"})
    shown = ", ".join(known[:20]) or "none"
    return CloudError(
        f"no cloud is called {name!r}", f"clouds.yaml and the environment know: {shown}"
    )


def _by_status(status: int, text: str) -> tuple[str, str]:
    """The reason and the way out that an HTTP status stands for (RFC 9110, and Glance's use)."""
    said = f" ({text})" if text else ""
    known = {
        401: ("user name, password or project is wrong", "look at clouds.yaml and OS_* variables"),
        403: (f"you are not permitted to do this{said}", _role_hint(text)),
        404: (f"it is not there{said}", ""),
        409: (f"it is in the way of something else{said}", GO_ON_HINT),
        413: (f"a quota is exceeded{said}", "delete what is not needed, or ask for more quota"),
        503: (f"the service is not available{said}", GO_ON_HINT),
        507: (f"the disk of the server is full{said}", "tell who runs the cloud"),
    }
    if status in known:
        return known[status]
    if status == 300 or status < 400:
        return f"the service sent us elsewhere (HTTP {status})", "look at the endpoint it has"
    if status < 500:
        return f"the service refused it (HTTP {status}){said}", ""
    return f"the service failed (HTTP {status}){said}", GO_ON_HINT


def _role_hint(text: str) -> str:
    if "publicize" in text:
        return "leave --public out, or ask for the role that may publish to everyone"
    return "ask who runs the cloud for a role that may"


def _by_kind(error: Exception) -> tuple[str, str]:
    """The reason and the way out of a failure that came without an HTTP answer."""
    import requests
    from keystoneauth1 import exceptions as ksa

    causes = tuple(_causes(error))
    text = plain(str(error))
    if any(isinstance(e, ksa.SSLError | requests.exceptions.SSLError) for e in causes):
        return f"its certificate is not trusted: {text}", "name its CA: cacert, or OS_CACERT"
    if any(isinstance(e, ksa.ConnectTimeout | requests.exceptions.Timeout) for e in causes):
        return f"it does not answer in time: {text}", GO_ON_HINT
    if any(isinstance(e, ConnectionRefusedError) for e in causes) or "refused" in text:
        return f"nothing answers there: {text}", "is the service up, and the address right?"
    if any(isinstance(e, ConnectionError) for e in causes):
        return f"the connection was lost: {text}", GO_ON_HINT
    if any(isinstance(e, ksa.ConnectionError | requests.RequestException) for e in causes):
        return f"it cannot be reached: {text}", "is the network up, and the address right?"
    if isinstance(error, ksa.EndpointNotFound):
        return "the cloud's catalog has no such service", "look at region_name and interface"
    if isinstance(error, ksa.MissingRequiredOptions | ksa.MissingAuthPlugin):
        return f"it is not said how: {text}", "name a cloud: --cloud NAME, or set OS_CLOUD"
    return text or type(error).__name__, ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came of: causes, contexts, and what requests put into `args`."""
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(seen) < 32:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [part for part in one.args if isinstance(part, BaseException)]
        reason = getattr(one, "reason", None)
        inner += [reason] if isinstance(reason, BaseException) else []
        waiting += [one.__cause__, one.__context__, *inner]


def _text(error: Exception) -> str:
    """The words of a refusal."""
    for attribute in ("text", "details", "message"):
        value = getattr(error, attribute, None)
        if isinstance(value, str) and value:
            return plain(value)
    return plain(str(error))
