"""The other side of a deployment, as the agent reaches it: token by TFTP, calls to the API."""

import contextlib
from collections.abc import Mapping

from . import api, http, plan, tftp
from .console import say
from .errors import AgentError
from .kernel_args import Settings
from .network import Network

TOKEN_LIMIT = 16384  # bytes; a Keystone PKI token, the longest kind, has some 8000


class Conductor:
    """Reports the node `settings.deployment_id`; AgentError where the API's address is none."""

    def __init__(self, settings: Settings, net: Network) -> None:
        self._settings = settings
        self._net = net
        self._api = api.parse(settings.api_url)
        self._token = ""

    def disk_is_ready(self) -> None:
        """The disk is exported: the image can be written."""
        self._pass_deploy_info("")

    def plan(self, disk_bytes: int) -> bytes:
        """What is to be written on a disk of that size; asked for again while nobody answers."""
        settings, where = self._settings, self._api
        words = f"key={settings.deployment_key}&address={self._net.address}&disk_bytes={disk_bytes}"
        node = f"{where.path}/v1/nodes/{settings.deployment_id}/vendor_passthru"
        place = http.Place(where.host, where.port, f"{node}/get_deploy_plan?{words}")
        return http.fetch(place, plan.LIMIT, self._fetch_token(), api.RETRY_SECONDS)

    def progress(self, part: str, done: int, total: int) -> None:
        """How far it is, if anybody listens: this one is told once."""
        news = {"part": part, "done": str(done), "total": str(total)}
        with contextlib.suppress(AgentError):
            self._post("pass_deploy_progress", news, patience=0)

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

    def _pass_deploy_info(self, error: str) -> None:
        self._post("pass_deploy_info", {"iqn": self._settings.iqn, "error": error})

    def _post(
        self, method: str, news: Mapping[str, str], patience: float = api.RETRY_SECONDS
    ) -> None:
        node, token = self._settings.deployment_id, self._fetch_token()
        body = {"address": self._net.address, "key": self._settings.deployment_key, **news}
        api.post(self._api, node, method, body, token, patience)

    def _fetch_token(self) -> str:
        """The token, fetched once; empty where there is none: an API without login needs none."""
        if not self._token and self._net.server:
            name = f"token-{self._settings.deployment_id}"
            try:
                content = tftp.fetch(self._net.server, name, TOKEN_LIMIT)
            except AgentError as error:
                say(f"no token: {error}")
            else:
                self._token = _clean(content)
        return self._token


def _clean(content: bytes) -> str:
    """The token's text; AgentError where it cannot be a header's value."""
    text = content.decode("latin-1").strip()
    if not text.isascii() or not text.isprintable():
        raise AgentError("the token is not printable text")
    return text
