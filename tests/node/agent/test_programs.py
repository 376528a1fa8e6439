import pytest

from bakery.node.agent.errors import AgentError
from bakery.node.agent.programs import OUTPUT_LIMIT, call, listen, start


def test_a_program_says_what_it_found():
    assert call(["sh", "-c", "echo out; echo err >&2; cat"]) == "out\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo out; echo 'the  disk\n is gone' >&2; exit 3", r"sh failed \(3\): the disk is gone$"),
        ("echo out; exit 1", r"sh failed \(1\): out$"),
        ("kill -9 $$", r"sh failed \(-9\): $"),
    ],
)
def test_a_program_that_fails_is_quoted(script, message):
    with pytest.raises(AgentError, match=message):
        call(["sh", "-c", script])
    assert isinstance(call(["sh", "-c", script], check=False), str)


def test_of_a_long_complaint_the_end_is_told():
    with pytest.raises(AgentError) as told:
        call(["sh", "-c", "yes no | head -n 1000 >&2; echo the end >&2; exit 1"])
    words = str(told.value).partition(": ")[2]
    assert (len(words), words[-7:]) == (OUTPUT_LIMIT, "the end")


def test_a_program_that_does_not_end_is_told():
    with pytest.raises(AgentError, match=r"sleep did not finish within 0\.1 s"):
        call(["sleep", "60"], 0.1)


@pytest.mark.parametrize("begin", [call, listen, start])
def test_a_program_that_is_not_there_is_told(begin):
    with pytest.raises(AgentError, match="no-such-program cannot be started: No such file"):
        begin(["no-such-program"])


def test_a_program_that_is_listened_to_says_nothing_else(capfd):
    with listen(["sh", "-c", "echo out; echo err >&2; cat"]) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"out\n"
    assert capfd.readouterr() == ("", "")


def test_a_program_beside_the_agent_talks_on_the_console(capfd):
    with start(["sh", "-c", "echo out; cat"]) as process:
        assert process.wait(30) == 0
    assert capfd.readouterr().out == "out\n"
