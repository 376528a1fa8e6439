"""The packed base of a build, and whether its index is its own."""

import msgspec
import pytest

from bakery.conductor.packed_base import base_index, packed_base
from bakery.host.errors import BakeryError
from tests.conductor import builds


@pytest.fixture
def build(tmp_path):
    return builds.with_packed_base(builds.build(tmp_path / "build"))


def told_otherwise(build, **changes):
    base = msgspec.structs.replace(build.manifest.artifacts["base"], **changes)
    artifacts = build.manifest.artifacts | {"base": base}
    manifest = msgspec.structs.replace(build.manifest, artifacts=artifacts)
    return type(build)(build.directory, manifest)


def test_the_index_is_of_the_base(build):
    index = base_index(build)
    record = build.manifest.artifacts["base"]
    assert (index.size_bytes, index.digest) == (record.size_bytes, record.digest)
    assert packed_base(build).is_file()


def test_a_base_that_is_not_packed_says_how_to(tmp_path):
    with pytest.raises(BakeryError, match="has no packed base") as caught:
        base_index(builds.build(tmp_path / "build"))
    assert caught.value.hint == "bakery build IMAGE --compress zstd adds it"


def test_an_index_of_another_base_is_refused(build):
    digest = build.manifest.artifacts["base"].digest
    other = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    for changed in (
        told_otherwise(build, digest=other),
        told_otherwise(build, size_bytes=builds.BASE_BYTES + 1),
    ):
        with pytest.raises(BakeryError, match="is the index of another base"):
            base_index(changed)


def test_a_digest_of_another_kind_says_nothing_against_it(build):
    assert base_index(told_otherwise(build, digest="sha256:00"))
