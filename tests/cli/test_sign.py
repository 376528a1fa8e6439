"""`bakery sign`: one file more in the folder of the build, and the step that uses it."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cli.inside import document, numbers, refusal, told, usage
from tests.conductor import builds

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key().public_bytes_raw().hex()


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def test_the_plan_lies_beside_the_base_and_its_signature_holds(tmp_path, key, monkeypatch):
    monkeypatch.setattr("bakery.conductor.write_list.time.time", lambda: 7.9)
    build = builds.with_packed_base(builds.build(tmp_path / "build", "disk"))
    before = set(build.directory.iterdir())
    plan = build.directory / "sample.plan"
    for _ in range(2):  # whoever signs again has the same
        lines = told("sign", build.directory, "--key", key).splitlines()
        assert lines[:2] == [str(plan), f"public key {PUBLIC}"]
        signature, content = plan.read_bytes().split(b"\n", 1)
        KEY.public_key().verify(bytes.fromhex(signature.decode()), content)
    assert set(build.directory.iterdir()) == before | {plan}
    step = json.loads(lines[2].removeprefix("deploy step "))
    arguments = {"plan_url": "http://SERVER/sample.plan", "plan_key": PUBLIC, "plan_serial": 7900}
    assert step == {
        "interface": "deploy", "step": "write_packed_image", "priority": 80, "args": arguments
    }  # fmt: skip
    assert document("sign", build.directory, "--key", key) == {
        "plan": str(plan), "public_key": PUBLIC, "deploy_step": step
    }  # fmt: skip


def test_whom_a_list_is_for_and_how_long_is_signed_too(tmp_path, key):
    build = builds.with_packed_base(builds.build(tmp_path / "build", "disk"))
    for words, node, days in (((), "", 90), (("--node", "u-1", "--days", "2"), "u-1", 2)):
        serial = document("sign", build.directory, "--key", key, *words)["deploy_step"]["args"][
            "plan_serial"
        ]
        content = (build.directory / "sample.plan").read_bytes().split(b"\n", 1)[1]
        terms = json.loads(content)
        assert (terms["node"], terms["serial"]) == (node, serial)
        assert terms["expires"] == serial // 1000 + days * 86400
    assert numbers("sign") == {"--days": (1, 3650, 90)}


def test_a_build_that_nothing_else_boots_is_refused(tmp_path, key):
    build = builds.with_packed_base(builds.build(tmp_path / "build"))
    error = refusal("sign", build.directory, "--key", key)
    assert "has layout pv" in error.message and "--layout disk" in error.hint
    assert "--key" in usage("sign", build.directory)
    (tmp_path / "text").write_text("no key")
    assert "private key" in refusal("sign", build.directory, "--key", tmp_path / "text").message
