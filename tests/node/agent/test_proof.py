"""The proofs, by another library and by the numbers of an earlier day: both ends have to agree."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from bakery.node.agent import proof


def made(key: str, purpose: str) -> str:
    mac = HMAC(key.encode(), hashes.SHA256())
    mac.update(purpose.encode())
    return mac.finalize().hex()[:32]


def test_each_purpose_has_a_proof_of_its_own():
    chap = proof.chap("KEY")
    assert chap.conductor == made("KEY", "chap conductor")
    assert chap.node == made("KEY", "chap node")
    assert proof.word("KEY") == "done " + made("KEY", "done")


def test_another_try_has_others():
    assert proof.chap("KEY") != proof.chap("KEX")
    assert not proof.same(proof.word("KEY"), proof.word("KEX"))
    assert proof.same(proof.word("KEY"), proof.word("KEY"))
    assert not proof.same("", proof.word("KEY"))
