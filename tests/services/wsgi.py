"""One service under uWSGI: started, asked until it answers, stopped or killed."""

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bakery.host import run

START_TIMEOUT_SECONDS = 120
POLL_SECONDS = 0.05
ATTEMPTS = 3  # a port that was free may be taken a moment later

# A worker reads a body by itself, piece by piece (http-socket without post-buffering). Requests
# carry tokens and long headers (buffer), and a client may pause while it sends (timeouts). It
# serves one request a connection, and a client that is not told would send its next one into it.
OPTIONS = (
    *("--enable-threads", "--threads", "8", "--need-app", "--die-on-term"),
    *("--add-header", "Connection: close"),
    *("--buffer-size", "65535", "--socket-timeout", "60"),
    *("--chunked-input-timeout", "60", "--chunked-input-limit", str(64 << 20)),
)
LAUNCHER = Path(__file__).parent / "launch/launcher.py"
LOADED = ("--pythonpath", LAUNCHER.parent, "--module", f"{LAUNCHER.stem}:application")


class Wsgi:
    """The WSGI module `module` of a virtual environment, with its log in `log`.

    `wrapper` are the words before the command, where it needs a place of its own, and `arguments`
    those that the module finds in sys.argv. Of several processes each has one thread.
    """

    def __init__(
        self,
        venv: Path,
        module: str,
        log: Path,
        env: Mapping[str, str],
        wrapper: tuple[str | Path, ...] = (),
        arguments: str = "",
        processes: int = 1,
    ) -> None:
        self.argv = [*wrapper, venv / "bin/uwsgi", *LOADED, *OPTIONS]
        self.argv += ["--pyargv", arguments] if arguments else []
        self.argv += ["--processes", str(processes), "--threads", "1"] if processes > 1 else []
        self.whole = processes > 1
        self.log = log
        self.env = {**env, "SERVICE_MODULE": module}
        self.url = ""
        self._running = contextlib.ExitStack()
        self._process: run.Process | None = None

    def start(self, configure: Callable[[str], None]) -> None:
        """Start on a free port, the same as before where there was one; `configure(url)` first.

        Returns when it answers; raises RuntimeError with the end of its log where it does not.
        """
        for _ in range(ATTEMPTS):
            url = self.url or f"http://127.0.0.1:{_free_port()}"
            configure(url)
            if self._serves(url):
                self.url = url
                return
            self.stop()
        raise RuntimeError(f"{self.argv} does not answer: {self._last_words()}")

    def stop(self) -> None:
        """End it; requests under way are cut."""
        self._running.close()

    def kill(self) -> None:
        """SIGKILL: it gets no chance to tidy up."""
        if self._process is not None:
            run.end(self._process, grace=0)
        self.stop()

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    def _serves(self, url: str) -> bool:
        log = self._running.enter_context(self.log.open("ab"))
        argv = [*self.argv, "--http-socket", urlsplit(url).netloc]
        self._process = self._running.enter_context(
            run.spawn(argv, stdout=log, stderr=log, env=self.env, whole=self.whole)
        )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if _answers(url):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _last_words(self) -> str:
        return run.tail(self.log.read_bytes())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=START_TIMEOUT_SECONDS)
    try:
        link.request("GET", "/")
        return link.getresponse().status < 500
    except OSError:
        return False
    finally:
        link.close()
