"""TLS as a BMC meets it: openssl makes the certificate, curl checks it."""

import socket
import ssl
import subprocess
import time

import pytest

from bakery.host.errors import BakeryError
from bakery.host.plain_file import seal
from bakery.netboot import tls
from bakery.netboot.http import HttpServer
from bakery.netboot.overlaid import Overlaid
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Trouble

SECONDS = 60
SIZE = 3_000_000


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=SECONDS)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bakery"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1"]
    openssl(*words, "-keyout", folder / "key.pem", "-out", folder / "certificate.pem")
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def served(pair, tmp_path):
    """An HTTPS server of one overlaid file, its events, and the file's bytes."""
    (tmp_path / "base").write_bytes(bytes(range(250)) * (SIZE // 250))
    overlaid = Overlaid(seal(tmp_path / "base"), SIZE, ((1_000_000, b"OWN" * 1000),))
    tree = Tree()
    events: list[Event] = []
    tree.put("media/secret/node.iso", overlaid)
    content = bytearray((tmp_path / "base").read_bytes())
    content[1_000_000:1_003_000] = b"OWN" * 1000
    server = HttpServer(
        "127.0.0.1", tree, events.append, tls=tls.context(*pair), request_seconds=2.0
    )
    with server:
        yield server, events, bytes(content)


def curl(server, *words, path="/media/secret/node.iso"):
    done = subprocess.run(
        ["curl", "-sS", *map(str, words), server.url + path],
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_client_that_checks_the_certificate_gets_the_whole_and_any_part(served, pair):
    server, _, content = served
    assert server.url.startswith("https://127.0.0.1:")
    assert curl(server, "--cacert", pair[0]) == (0, content, b"")
    code, part, _ = curl(server, "--cacert", pair[0], "-r", "999000-1004000")
    assert (code, part) == (0, content[999000:1004001])
    code, head, _ = curl(server, "--cacert", pair[0], "-I")
    assert code == 0 and f"content-length: {SIZE}" in head.decode().lower()
    assert b"accept-ranges: bytes" in head.lower()


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_client_that_does_not_trust_the_certificate_is_told_of(served):
    server, events, _ = served
    code, content, _ = curl(server)
    assert (code, content) == (60, b"")  # curl(1): the peer's certificate cannot be authenticated
    (trouble,) = until(lambda: [e for e in events if isinstance(e, Trouble)])
    assert "127.0.0.1: TLS: " in trouble.reason and "UNKNOWN_CA" in trouble.reason.upper()


def test_plain_http_gets_nothing(served):
    server, _, content = served
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as link:
        link.settimeout(SECONDS)
        link.sendall(b"GET /media/secret/node.iso HTTP/1.0\r\n\r\n")
        answer = b""
        try:
            while piece := link.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
    assert content[:100] not in answer and b"200" not in answer


def test_who_never_shakes_hands_is_let_go(served):
    server, events, _ = served
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as link:
        link.settimeout(SECONDS)
        assert link.recv(1) == b""
    assert until(lambda: [e for e in events if isinstance(e, Trouble)])[0].reason.endswith(
        "the handshake took more than 2 s"
    )


def test_old_versions_are_refused(served):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", served[0].port), SECONDS) as link,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(link)


def test_a_key_of_another_certificate_is_refused(pair, tmp_path):
    openssl("genrsa", "-out", tmp_path / "other.pem", "2048")
    with pytest.raises(BakeryError, match=r"cannot be served by: .*key values mismatch"):
        tls.context(pair[0], tmp_path / "other.pem")


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(pair, tmp_path):
    words = (
        "rsa",
        "-in",
        pair[1],
        "-aes256",
        "-passout",
        "pass:x",
        "-out",
        tmp_path / "locked.pem",
    )
    openssl(*words)
    with pytest.raises(BakeryError, match="cannot be served by") as refused:
        tls.context(pair[0], tmp_path / "locked.pem")
    assert "without a password" in refused.value.hint


def test_a_certificate_that_is_missing_is_told_and_a_link_to_one_is_followed(pair, tmp_path):
    with pytest.raises(BakeryError, match="cannot be served by: no such file"):
        tls.context(tmp_path / "nowhere.pem", pair[1])
    with pytest.raises(BakeryError, match=r"nowhere\.pem cannot be read"):
        tls.context(tmp_path / "nowhere.pem")
    (tmp_path / "live.pem").symlink_to(pair[0])  # as certbot keeps them
    tls.context(tmp_path / "live.pem", pair[1])


def test_a_key_that_other_users_can_read_is_refused(pair, tmp_path):
    together = tmp_path / "both.pem"
    together.write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
    together.chmod(0o640)
    with pytest.raises(BakeryError, match="other users can read the secret") as refused:
        tls.context(together)
    assert refused.value.hint == f"chmod 600 {together}"
    together.chmod(0o600)
    tls.context(together)
