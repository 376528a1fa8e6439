"""What a Redfish service means by its refusals: which pass by themselves, and what they say.

Source: DSP0266 (Redfish Specification), 7.3 Status codes, 8.6 Error responses; DSP8011, the Base
message registry; for the makers' own, what stands behind each line.
"""

from collections.abc import Iterator, Mapping

from bakery.host.printable import SHOWN_CHARACTERS, printable

TOO_MANY, UNAVAILABLE, CONFLICT = 429, 503, 409
PASSING_STATUS = frozenset((CONFLICT, TOO_MANY, UNAVAILABLE))
# A gateway in front of a service that is starting, or the service itself: asked again, no more.
PASSING_STATUS_OF_READING = PASSING_STATUS | {500, 502, 504}
SESSION_LIMIT = "SessionLimitExceeded"
# Message ids, without their registry and version. A status of 400 or 500 comes with them as well.
PASSING = frozenset(
    (
        "ResourceInUse",
        "ResourceInStandby",
        "ResourceNotReady",
        "ServiceShuttingDown",
        "ServiceTemporarilyUnavailable",
        SESSION_LIMIT,
        # iLO that is not ready after the order before: sushy/connector.py
        "InvalidOperationForSystemState",
        # iDRAC that is not ready after the order before: sushy/connector.py
        "SYS518",
    )
)
DENIED = frozenset(
    (
        # iLO answers a wrong password with it and a status of 400: HPE, iLO 5 REST API, Errors
        "UnauthorizedLoginAttempt",
        "NoValidSession",
        "ResourceAtUriUnauthorized",
    )
)
MESSAGES_LIMIT = 8


def passes(status: int, body: object, *, reading: bool) -> bool:
    """Whether a request that was refused so can be made again; `reading` is for GET alone."""
    if status in (PASSING_STATUS_OF_READING if reading else PASSING_STATUS):
        return True
    return status >= 400 and not PASSING.isdisjoint(message_ids(body))


def no_session_free(body: object) -> bool:
    """Whether a login is refused because others hold all sessions."""
    return SESSION_LIMIT in message_ids(body)


def is_denied(status: int, body: object) -> bool:
    """Whether the user's name or password was not taken."""
    return status == 401 or (status == 400 and not DENIED.isdisjoint(message_ids(body)))


def message_ids(body: object) -> tuple[str, ...]:
    """The names of what a service has to say, as `ResourceInUse` of `Base.1.8.ResourceInUse`."""
    found = [message.get("MessageId") for message in _messages(body)]
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):
        found.append(error.get("code"))
    return tuple(name.rpartition(".")[2] for name in found if isinstance(name, str))


def words(status: int, body: object) -> str:
    """What a service says of a request, on one line of bounded length."""
    texts = [message.get("Message") or message.get("MessageId") for message in _messages(body)]
    error = body.get("error") if isinstance(body, Mapping) else None
    if not any(texts) and isinstance(error, Mapping):
        texts = [error.get("message")]
    said = [text.strip() for text in texts if isinstance(text, str) and text.strip()]
    shown = printable(" ".join(dict.fromkeys(said)), SHOWN_CHARACTERS)
    return f"{shown} (HTTP {status})" if shown else f"HTTP {status}"


def _messages(body: object) -> Iterator[Mapping[str, object]]:
    """The extended information of an error, or of a task."""
    if not isinstance(body, Mapping):
        return
    error = body.get("error")
    inner = error if isinstance(error, Mapping) else {}
    for found in (inner.get("@Message.ExtendedInfo"), body.get("Messages")):
        listed = found if isinstance(found, list) else [found]
        yield from (entry for entry in listed[:MESSAGES_LIMIT] if isinstance(entry, Mapping))
