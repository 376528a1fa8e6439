"""What of a node's own system is seen over the network, and what is not taken for it."""

import socket
import threading
import time

import pytest

from bakery.conductor import network_signs
from bakery.conductor.network_signs import NetworkSigns, WrittenSigns
from bakery.netboot import ping

HERE = "127.0.0.1"


@pytest.fixture
def ssh():
    """A server on the loopback that says these bytes; its port."""
    servers = []

    def serve(said: bytes):
        server = socket.create_server((HERE, 0))
        servers.append(server)

        def answer():
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        return server.getsockname()[1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def answers(monkeypatch):
    """Whether the address answers to ping; each may be changed."""
    state = {HERE: True}
    monkeypatch.setattr(ping, "answers", lambda address, _seconds: state[str(address)])
    return state


def closed_port():
    with socket.create_server((HERE, 0)) as server:
        return server.getsockname()[1]


def signs(port, until="any", *, agent=HERE, holds=HERE):
    made = NetworkSigns(lambda address: address == holds, lambda: agent, until, port=port)
    made.mark()
    return made


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"welcome\r\nSSH-1.99-old\n", b"SSH-2.0-a\x1b[2J\n"]
)
def test_an_ssh_banner_is_a_sign_once_the_node_asked_for_an_address_again(ssh, said):
    watching = signs(ssh(said), "ssh")
    assert watching.up(0, 0) is None  # whatever the ramdisk answers
    watching.asked("", firmware=True)
    seen = watching.up(0, 0)
    assert seen and seen.kind == "ssh" and HERE in seen.words and seen.words.isprintable()


def test_where_no_dhcp_is_heard_the_banner_at_the_ramdisks_address_is_the_sign(ssh):
    made = NetworkSigns(lambda _: True, lambda: HERE, "any", hears=False, port=ssh(b"SSH-2.0-x\n"))
    made.mark()
    seen = made.up(0, 0)
    assert seen and seen.kind == "ssh"


def test_where_no_dhcp_is_heard_a_ping_has_to_stay_for_longer_than_a_start(answers, monkeypatch):
    made = NetworkSigns(lambda _: True, lambda: HERE, "ping", hears=False, port=closed_port())
    made.mark()
    assert made.up(0, 0) is None  # the ramdisk, on its way out
    answers[HERE] = False
    assert made.up(0, 0) is None
    answers[HERE] = True
    assert made.up(0, 0) is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 200)
    seen = made.up(0, 0)
    assert seen and seen.kind == "ping"


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 400 no\r\n\r\n", b"SSH-2.0-no line end", b"x" * 9000]
)
def test_what_is_no_banner_is_no_sign(ssh, said):
    watching = signs(ssh(said), "ssh")
    watching.asked("", firmware=False)
    assert watching.up(0, 0) is None


def test_a_server_that_says_nothing_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(network_signs, "PROBE_SECONDS", 0.1)
    with socket.create_server((HERE, 0)) as silent:
        watching = signs(silent.getsockname()[1], "ssh")
        watching.asked("", firmware=False)
        assert watching.up(0, 0) is None


def test_a_ping_counts_when_the_system_itself_asked_for_its_address(answers):
    watching = signs(closed_port(), "ping")
    assert watching.up(0, 0) is None
    watching.asked("", firmware=True)
    assert watching.up(0, 0) is None  # iPXE answers to ping
    watching.asked("", firmware=False)
    seen = watching.up(0, 0)
    assert seen and seen.kind == "ping"


def test_without_a_choice_ping_is_taken_when_ssh_stays_away_for_long(answers, monkeypatch):
    watching = signs(closed_port())
    watching.asked("", firmware=False)
    assert watching.up(0, 0) is None
    monkeypatch.setattr(network_signs, "PING_STAYS_SECONDS", 0.0)
    seen = watching.up(0, 0)
    assert seen and seen.kind == "ping"


def test_answers_that_stop_begin_anew(answers, monkeypatch):
    watching = signs(closed_port())
    watching.asked("", firmware=False)
    assert watching.up(0, 0) is None
    answers[HERE] = False
    assert watching.up(0, 0) is None
    assert watching._answers_since == {}


def test_a_banner_is_better_than_a_ping(ssh, answers, monkeypatch):
    monkeypatch.setattr(network_signs, "PING_STAYS_SECONDS", 0.0)
    watching = signs(ssh(b"SSH-2.0-x\n"))
    watching.asked("", firmware=False)
    seen = watching.up(0, 0)
    assert seen and seen.kind == "ssh"


def test_after_another_conductor_a_banner_counts_and_a_ping_when_it_stays(
    ssh, answers, monkeypatch
):
    seen = NetworkSigns(lambda _: True, lambda: HERE, port=ssh(b"SSH-2.0-x\n")).up(0, 0)
    assert seen and seen.kind == "ssh"
    later = NetworkSigns(lambda _: True, lambda: HERE, "ping", port=closed_port())
    assert later.up(0, 0) is None
    monkeypatch.setattr(network_signs, "UNHEARD_SECONDS", 0.0)
    assert later.up(0, 0)


def test_a_node_without_an_address_gives_no_sign(answers):
    watching = signs(closed_port(), "ping", agent="")
    watching.asked("", firmware=False)
    assert watching.up(0, 0) is None
    watching.asked(HERE, firmware=False)
    assert watching.up(0, 0)


def test_an_address_that_is_somebody_elses_by_now_gives_no_sign(answers):
    watching = signs(closed_port(), "ping", holds="192.0.2.9")
    watching.asked(HERE, firmware=False)
    assert watching.up(0, 0) is None


def test_a_new_mark_forgets_what_was_before(answers):
    watching = signs(closed_port(), "ping")
    watching.asked("", firmware=False)
    watching.mark()
    assert watching.up(0, 0) is None


def test_who_looks_himself_waits_for_nothing():
    assert WrittenSigns().up(WrittenSigns().mark(), 600).kind == "written"
