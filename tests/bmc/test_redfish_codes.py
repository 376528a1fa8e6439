import pytest

from bakery.bmc.redfish_codes import is_denied, message_ids, no_session_free, passes, words


def body(*ids, message="words"):
    entries = [{"MessageId": f"Base.1.8.{name}", "Message": message} for name in ids]
    return {"error": {"code": "Base.1.8.GeneralError", "@Message.ExtendedInfo": entries}}


@pytest.mark.parametrize(
    ("status", "told", "reading", "writing"),
    [
        (503, None, True, True),
        (429, None, True, True),
        (409, body(), True, True),
        (500, None, True, False),
        (502, "<html>", True, False),
        (500, body("SYS518"), True, True),
        (400, body("InvalidOperationForSystemState"), True, True),
        (400, body("PropertyUnknown", "ResourceInUse"), True, True),
        (400, body("PropertyUnknown"), False, False),
        (404, body("ResourceMissingAtURI"), False, False),
        (401, None, False, False),
        (200, body("ResourceInUse"), False, False),
    ],
)
def test_what_passes_by_itself(status, told, reading, writing):
    assert passes(status, told, reading=True) == reading
    assert passes(status, told, reading=False) == writing


def test_a_login_that_is_denied_is_another_than_one_that_has_no_place():
    assert is_denied(401, None)
    assert is_denied(400, body("UnauthorizedLoginAttempt"))
    assert not is_denied(400, body("SessionLimitExceeded"))
    assert not is_denied(503, body("UnauthorizedLoginAttempt"))
    assert no_session_free(body("SessionLimitExceeded"))
    assert not no_session_free(body("ResourceInUse"))


def test_the_words_are_the_services_own_on_one_bounded_line():
    assert words(400, body("A", "B", message="no\nway")) == r"no\nway (HTTP 400)"
    assert words(400, {"error": {"message": "in short"}}) == "in short (HTTP 400)"
    assert words(400, {"Messages": [{"MessageId": "X.1.Y"}]}) == "X.1.Y (HTTP 400)"
    assert len(words(400, body("A", message="x" * 10**6))) < 200
    assert words(404, None) == "HTTP 404"


@pytest.mark.parametrize(
    "told",
    [None, [], 7, "text", {"error": 7}, {"error": {"@Message.ExtendedInfo": 7, "code": []}},
     {"Messages": [[], None, {"MessageId": 7, "Message": {}}]}],
)  # fmt: skip
def test_what_makes_no_sense_says_nothing(told):
    assert message_ids(told) == ()
    assert words(500, told) == "HTTP 500"
