"""nginx with a folder to serve, as anybody would serve files: not one line of it is bakery's."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.conductor.targets import free_port, until

CONFIG = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    log_format bytes '$status $bytes_sent';
    access_log {folder}/access.log bytes;
    sendfile on;
    keepalive_requests 100000;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp;
    scgi_temp_path {folder}/temp;
    server {{ listen {address}:{port}; root {root}; }}
}}
"""


@contextlib.contextmanager
def serving(
    root: Path, folder: Path, address: str = "127.0.0.1", enter: Sequence[str] = ()
) -> Iterator[str]:
    """Serve the files under `root`, from a `folder` of nginx's own; the URL.

    `enter` is the command that runs another where the address is. Each line of
    `folder`/access.log has a status, and the bytes that were sent.
    """
    folder.mkdir()
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        ("user root;" if os.geteuid() == 0 else "")
        + CONFIG.format(folder=folder, root=root, address=address, port=port)
    )
    words: list[str | Path] = [
        *enter,
        "nginx",
        "-p",
        folder,
        "-c",
        config,
        "-e",
        folder / "error.log",
    ]
    with subprocess.Popen(words) as process:
        try:
            until((folder / "pid").exists)
            yield f"http://{address}:{port}"
        finally:
            process.terminate()
