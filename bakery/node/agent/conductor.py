"""The other side of a deployment, as the agent reaches it: a token, and calls to the API."""

import contextlib
import json
import socket
from collections.abc import Mapping

from . import api, http, signed_list, tftp
from .console import say
from .errors import AgentError
from .kernel_args import Settings
from .layout import CHUNK
from .network import Network

TOKEN_LIMIT = 16384  # bytes; a Keystone PKI token, the longest kind, has some 8000


class Conductor:
    """Reports the node `settings.deployment_id`; AgentError where the API's address is none."""

    def __init__(self, settings: Settings, net: Network) -> None:
        self._settings = settings
        self._net = net
        self._api = api.parse(settings.api_url)
        self._token = ""

    @property
    def address(self) -> str:
        """Its IPv4 address; empty where it has none, or nobody knows it."""
        with contextlib.suppress(OSError):
            found = socket.getaddrinfo(self._api.host.encode("ascii"), None, socket.AF_INET)
            return str(found[0][4][0])
        return ""

    def disk_is_ready(self, machine: Mapping[str, str], *, chap: bool) -> None:
        """The disk is exported, with `chap` to who has the secrets: the image can be written.

        `machine` is what this one tells of itself (machine.py).
        """
        self._pass_deploy_info("", {**machine, **({"chap": "both"} if chap else {})})

    def write_list(self, machine: Mapping[str, str], public: bytes) -> bytes:
        """What is to be written on this machine's disk, encrypted to the owner of `public`.

        It is asked for again while nobody answers.
        """
        settings, where = self._settings, self._api
        node = f"{where.path}/v1/nodes/{settings.deployment_id}/vendor_passthru"
        place = http.Place(where.host, where.port, f"{node}/get_deploy_plan")
        wanted = {**machine, "public_key": public.hex()}
        body = json.dumps({**self._proof(), **wanted}).encode()
        return http.fetch(place, signed_list.LIMIT, self.token(), api.RETRY_SECONDS, body)

    def progress(self, part: str, done: int, total: int) -> None:
        """How far it is, in bytes, if anybody listens: this one is told once, in chunks."""
        chunks = {"done": str(-(-done // CHUNK)), "total": str(-(-total // CHUNK))}
        with contextlib.suppress(AgentError):
            self._post("pass_deploy_progress", {"part": part, **chunks}, patience=0)

    def written(self) -> None:
        """The disk is written, and was read back."""
        self._post("pass_deploy_done", {})

    def failed(self, reason: str) -> None:
        """There will be no deployment."""
        self._pass_deploy_info(reason)

    def boot_loader_failed(self, reason: str) -> None:
        """The disk is written, but the node cannot start from it."""
        body = {"status": "FAILED", "error": reason}
        self._post("pass_bootloader_install_info", body)

    def _pass_deploy_info(self, error: str, more: Mapping[str, str] | None = None) -> None:
        body = {"iqn": self._settings.iqn, "error": error, **(more or {})}
        self._post("pass_deploy_info", body)

    def _post(
        self, method: str, news: Mapping[str, str], patience: float = api.RETRY_SECONDS
    ) -> None:
        node = self._settings.deployment_id
        api.post(self._api, node, method, {**self._proof(), **news}, self.token(), patience)

    def _proof(self) -> dict[str, str]:
        return {"address": self._net.address, "key": self._settings.deployment_key}

    def token(self) -> str:
        """The token: a medium's, or fetched once; empty where an API without login needs none.

        Where the site's DHCP server gave the address, the API's machine has it, and not that one.
        """
        self._token = self._token or _clean(self._settings.token.encode())
        if self._token or not self._net.server:
            return self._token
        name = f"token-{self._settings.deployment_id}"
        for server in dict.fromkeys((self._net.server, self.address or self._net.server)):
            try:
                content = tftp.fetch(server, name, TOKEN_LIMIT)
            except AgentError as error:
                say(f"no token: {error}")
            else:
                self._token = _clean(content)
                break
        return self._token


def _clean(content: bytes) -> str:
    """The token's text; AgentError where it cannot be a header's value."""
    text = content.decode("latin-1").strip()
    if not text.isascii() or not text.isprintable():
        raise AgentError("the token is not printable text")
    return text
