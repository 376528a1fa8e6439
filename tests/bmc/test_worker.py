"""What a program that talks to a BMC comes to; a shell in its place."""

import pytest

from bakery.bmc.bmc import NotOffered
from bakery.bmc.worker import Worker
from bakery.host.errors import BakeryError


def worker(script, **hints):
    return Worker("a.module", "the BMC", "admin", lambda _words: ["sh", "-c", script], hints)


def failure(answer, **hints):
    with pytest.raises(BakeryError) as caught:
        worker(f"cat > /dev/null; printf '%s' '{answer}'", **hints).do(b"{}", "do it", 5)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("denied", "the BMC denies login as 'admin': words"),
        ("refused", "the BMC refuses to do it: words"),
        ("not-offered", "the BMC cannot do it: words"),
        ("busy", "the BMC was not ready to do it within 5 s: words"),
        ("late", "the BMC did not do it within 5 s: words"),
        ("untrusted", "the BMC is not trusted: words"),
        ("unreachable", "the BMC cannot be reached: words"),
        ("no-answer", "the BMC does not answer: words"),
    ],
)
def test_each_kind_of_failure_has_its_message(kind, message):
    found = failure(f'{{"kind": "{kind}", "words": "words"}}')
    assert found.message == message
    assert isinstance(found, NotOffered) == (kind == "not-offered")


def test_the_way_out_is_the_answers_then_the_protocols_then_the_usual():
    assert failure('{"kind": "busy", "hint": "x"}', busy="y").hint == "x"
    assert failure('{"kind": "busy"}', busy="y").hint == "y"
    assert "sessions" in failure('{"kind": "busy"}').hint


def test_the_request_comes_on_standard_input(tmp_path):
    answer = worker(f'cat > {tmp_path}/request; printf \'{{"power": "on"}}\'').do(b"it", "do", 5)
    assert (answer.power, (tmp_path / "request").read_text()) == ("on", "it")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo went wrong >&2; exit 3", "the BMC cannot be talked to: a.module failed"),
        ("echo nonsense", "the BMC does not answer"),
        ("kill -9 $$", "the BMC does not answer"),
        ("head -c 100000 /dev/zero", "the BMC does not answer"),
    ],
)
def test_a_program_that_fails_is_told(script, message):
    with pytest.raises(BakeryError) as caught:
        worker(script).do(b"{}", "do it", 5)
    assert caught.value.message.startswith(message)
