"""The library is there with the types it was asked for with, or it is said that it is not."""

import pytest

from bakery.node.agent import libcrypto
from bakery.node.agent.errors import AgentError


def test_a_function_has_its_types():
    crypto = libcrypto.load([("EVP_MD_CTX_new", libcrypto.POINTER, ())])
    assert crypto.EVP_MD_CTX_new.restype is libcrypto.POINTER
    assert tuple(crypto.EVP_MD_CTX_new.argtypes) == ()


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(libcrypto, "NAME", "libnone.so.9")
    with pytest.raises(AgentError, match=r"libnone\.so\.9 cannot be loaded"):
        libcrypto.load([])
