"""What a node's virtual CD drive takes: the servers are real ones."""

import socket
import threading
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.lab import drive
from bakery.netboot.http import HttpServer
from bakery.netboot.http_message import Response
from bakery.netboot.tree import Tree

SECRET = "s3cret-name"


def no_ranges(_request):
    return Response(200, bytes(4096))


@pytest.fixture
def server():
    tree = Tree()
    tree.put(f"media/{SECRET}/node.iso", bytes(4096))
    tree.put(f"media/{SECRET}/odd.iso", bytes(4097))
    tree.put(f"media/{SECRET}/others.iso", bytes(4096), lambda _asker: "this is another node's")
    routes = {("HEAD", "/plain.iso"): no_ranges}
    with HttpServer("127.0.0.1", tree, lambda _event: None, routes=routes) as found:
        yield found


def test_a_medium_that_is_served_by_ranges_is_taken(server):
    url = f"{server.url}/media/{SECRET}/node.iso"
    assert drive.checked(url) == url


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"/media/{SECRET}/gone.iso", "is refused: HTTP 404"),
        (f"/media/{SECRET}/others.iso", "is refused: HTTP 403"),
        (f"/media/{SECRET}/odd.iso", "it has 4097 bytes, not sectors of 2048"),
        ("/plain.iso", "gives no ranges of bytes"),
        ("", "is refused: HTTP 404"),
    ],
)
def test_what_a_drive_could_not_read_is_told_without_the_secret_in_its_name(server, path, reason):
    with pytest.raises(BakeryError) as refused:
        drive.checked(server.url + path)
    assert reason in refused.value.message
    assert SECRET not in refused.value.message + refused.value.hint


def test_a_server_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(BakeryError, match=r"cannot be reached: .*refused"):
        drive.checked(f"http://127.0.0.1:{port}/{SECRET}")


def test_a_server_that_says_nothing_is_waited_for_a_while_alone(monkeypatch):
    monkeypatch.setattr(drive, "LOOK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/node.iso"
        with pytest.raises(BakeryError, match="cannot be reached: timed out"):
            drive.checked(url)


def test_a_server_that_talks_no_http_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk():
            link, _ = listener.accept()
            with link:
                link.recv(65536)
                link.sendall(b"\xff" * 300 + b"\r\n\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(BakeryError, match="cannot be reached"):
            drive.checked(f"http://127.0.0.1:{listener.getsockname()[1]}/node.iso")
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/node.iso",
        "file:///etc/passwd",
        "nbd://127.0.0.1/",
        "json:{}://x",
        "http://",
        "http:///node.iso",
        "http://admin:secret@127.0.0.1/node.iso",
        "http://127.0.0.1:99999/node.iso",
        "http://127.0.0.1:0/node.iso",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\r\nHost: b",
        "http://[::1/node.iso",
        "http://127.0.0.1/" + "a" * 3000,
    ],
)
def test_what_is_no_url_of_a_medium_is_refused(url):
    with pytest.raises(BakeryError) as refused:
        drive.checked(url)
    assert "admin:secret" not in refused.value.message


def test_a_file_is_named_by_its_whole_path(tmp_path, monkeypatch):
    (tmp_path / "node.iso").write_bytes(bytes(2048))
    assert drive.checked(str(tmp_path / "node.iso")) == str(tmp_path / "node.iso")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BakeryError, match="is no medium"):
        drive.checked("node.iso")


@pytest.mark.parametrize("content", [b"", b"x" * 2047])
def test_a_file_without_whole_sectors_is_refused(tmp_path, content):
    (tmp_path / "node.iso").write_bytes(content)
    with pytest.raises(BakeryError, match="not sectors of 2048"):
        drive.checked(str(tmp_path / "node.iso"))


def test_a_folder_and_a_device_are_no_media(tmp_path):
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(BakeryError, match="is no medium"):
            drive.checked(str(path))
    with pytest.raises(BakeryError, match="cannot be read"):
        drive.checked("/dev/null\0x")


def test_qemu_reads_a_url_by_the_driver_of_its_scheme():
    (_, node), *_ = drive.insertion("https://127.0.0.1/a.iso", 3)
    file = {"driver": "https", "url": "https://127.0.0.1/a.iso", "sslverify": False}
    assert node == {"driver": "raw", "node-name": "medium-3", "read-only": True, "file": file}
    (_, node), *_ = drive.insertion("/a.iso", 4)
    assert node["file"] == {"driver": "file", "filename": "/a.iso"}
