"""What the agent tells the conductor, call by call; api, TFTP and HTTP are watched, not used."""

import json

import pytest

from bakery.node.agent import api, http, kernel_args, tftp
from bakery.node.agent.conductor import Conductor
from bakery.node.agent.errors import AgentError
from bakery.node.agent.layout import CHUNK
from bakery.node.agent.network import Network

ARGUMENTS = (
    "deployment_id=node-7 deployment_key=KEY iscsi_target_iqn=iqn.a "
    "ironic_api_url=http://127.0.0.1:6385/base"
)
OWN = {"address": "10.0.0.5", "key": "KEY"}


class Posted:
    """The calls that were made; `refuses` is what the next end with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], str]] = []
        self.patience: list[float] = []
        self.refuses: AgentError | None = None
        self.tokens: list[bytes | AgentError] = [b"TOKEN\n"]
        self.names: list[tuple[str, str]] = []

    def post(self, where, node, method, body, token, patience):
        assert (where, node) == (("127.0.0.1", 6385, "/base"), "node-7")
        self.calls.append((method, dict(body), token))
        self.patience.append(patience)
        if self.refuses is not None:
            raise self.refuses

    def fetch(self, server, name, limit):
        assert limit >= 8000
        self.names.append((server, name))
        token = self.tokens.pop(0)
        if isinstance(token, AgentError):
            raise token
        return token


@pytest.fixture
def posted(monkeypatch):
    posted = Posted()
    monkeypatch.setattr(api, "post", posted.post)
    monkeypatch.setattr(tftp, "fetch", posted.fetch)
    return posted


def conductor(server="10.0.0.1"):
    return Conductor(kernel_args.parse(ARGUMENTS), Network("eth0", "10.0.0.5", server))


def test_each_news_has_its_call(posted):
    own = conductor()
    own.disk_is_ready({"serial": "S1"}, chap=True)
    own.disk_is_ready({}, chap=False)
    own.written()
    own.failed("no disk")
    own.boot_loader_failed("no loader")
    info = {**OWN, "iqn": "iqn.a"}
    assert posted.calls == [
        ("pass_deploy_info", {**info, "error": "", "serial": "S1", "chap": "both"}, "TOKEN"),
        ("pass_deploy_info", {**info, "error": ""}, "TOKEN"),
        ("pass_deploy_done", OWN, "TOKEN"),
        ("pass_deploy_info", {**info, "error": "no disk"}, "TOKEN"),
        (
            "pass_bootloader_install_info",
            {**OWN, "status": "FAILED", "error": "no loader"},
            "TOKEN",
        ),
    ]
    assert set(posted.patience) == {api.RETRY_SECONDS}
    assert posted.names == [("10.0.0.1", "token-node-7")], "it is fetched once"


@pytest.mark.parametrize(
    ("done", "total", "told"),
    [(0, 1, ("0", "1")), (1, CHUNK, ("1", "1")), (CHUNK, CHUNK + 1, ("1", "2"))],
)
def test_progress_is_told_once_in_chunks_and_whoever_does_not_listen_is_not_waited_for(
    posted, done, total, told
):
    posted.refuses = AgentError("nobody listens")
    conductor().progress("writing", done, total)
    chunks = {"done": told[0], "total": told[1]}
    assert posted.calls == [("pass_deploy_progress", {**OWN, "part": "writing", **chunks}, "TOKEN")]
    assert posted.patience == [0]


def test_other_news_that_nobody_takes_are_told(posted):
    posted.refuses = AgentError("nobody listens")
    with pytest.raises(AgentError, match="nobody listens"):
        conductor().written()


def test_without_a_boot_server_there_is_no_token(posted):
    assert conductor(server="").token() == ""
    assert posted.names == []


def test_where_the_sites_server_has_no_token_the_api_s_machine_is_asked(posted, capsys):
    posted.tokens = [AgentError("no such file"), b"TOKEN"]
    assert conductor(server="10.0.0.9").token() == "TOKEN"
    assert posted.names == [("10.0.0.9", "token-node-7"), ("127.0.0.1", "token-node-7")]


def test_a_token_that_is_not_given_is_asked_for_again(posted, capsys):
    posted.tokens = [AgentError("no answer"), AgentError("nor there"), b" TOKEN "]
    own = conductor()
    assert (own.token(), own.token(), own.token()) == ("", "TOKEN", "TOKEN")
    assert "no token: no answer" in capsys.readouterr().out


@pytest.mark.parametrize("token", ["caf\u00e9".encode("latin-1"), b"two\nlines", b"nul\0"])
def test_a_token_that_cannot_be_sent_is_refused(posted, token):
    posted.tokens = [token]
    with pytest.raises(AgentError, match="the token is not printable text"):
        conductor().token()


def test_what_is_to_be_written_is_asked_for_with_the_size_of_the_disk(posted, monkeypatch):
    asked = []

    def fetch(*words):
        asked.append(words)
        return b"list"

    monkeypatch.setattr(http, "fetch", fetch)
    assert conductor().write_list({"disk_bytes": "4096"}, b"\xab" * 32) == b"list"
    ((place, _limit, token, patience, body),) = asked
    path = "/base/v1/nodes/node-7/vendor_passthru/get_deploy_plan"
    assert place == ("127.0.0.1", 6385, path)
    assert (token, patience) == ("TOKEN", api.RETRY_SECONDS)
    assert json.loads(body) == {**OWN, "disk_bytes": "4096", "public_key": "ab" * 32}


def test_its_address_is_known_where_its_name_is(posted):
    assert conductor().address == "127.0.0.1"
    nowhere = kernel_args.parse(ARGUMENTS.replace("127.0.0.1", "no-such-host.invalid"))
    assert Conductor(nowhere, Network("eth0", "10.0.0.5", "")).address == ""


def test_a_token_that_a_medium_brought_is_not_fetched(posted):
    settings = kernel_args.parse(f"{ARGUMENTS} bakery_token=OF-THE-MEDIUM")
    own = Conductor(settings, Network("eth0", "10.0.0.5", "10.0.0.1"))
    own.written()
    assert posted.calls[0][2] == "OF-THE-MEDIUM"
    assert posted.names == []
