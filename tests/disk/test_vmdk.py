import io
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk import vmdk


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("vmdk")
    raw = folder / "raw"
    raw.write_bytes(bytes(range(256)) * 8192)
    found = {}
    for kind in ("monolithicSparse", "streamOptimized"):
        path = folder / kind
        words = ["qemu-img", "convert", "-O", "vmdk", "-o", f"subformat={kind}", raw, path]
        subprocess.run(words, check=True)
        found[kind] = path.read_bytes()
    return found


@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_images_that_are_one_file_pass(images, kind):
    assert vmdk.findings(io.BytesIO(images[kind])) == []
    assert vmdk.truncation(io.BytesIO(images[kind])) == []


@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_an_image_cut_short_is_seen_to_be_one(images, kind):
    half = io.BytesIO(images[kind][: len(images[kind]) // 2])
    assert [finding.id for finding in vmdk.truncation(half)] == ["truncated"]


def with_footer(content: bytes, **changed: int) -> bytes:
    """The image with its directory's place in a footer, as exporters of streams write it."""
    head = bytearray(content[:512])
    place = head[56:64]
    head[56:64] = b"\xff" * 8
    footer = bytearray(head)
    footer[56:64] = place
    if "capacity" in changed:
        footer[12:20] = changed["capacity"].to_bytes(8, "little")
    if "descriptor" in changed:
        footer[28:36] = changed["descriptor"].to_bytes(8, "little")
    return bytes(head) + content[512:] + bytes(512) + bytes(footer) + bytes(512)


def test_a_footer_that_repeats_the_header_passes(images):
    file = io.BytesIO(with_footer(images["streamOptimized"]))
    assert vmdk.findings(file) == []
    assert vmdk.truncation(file) == []


@pytest.mark.parametrize("change", [{"capacity": 0}, {"descriptor": 99}])
def test_a_footer_that_says_something_else_is_refused(images, change):
    file = io.BytesIO(with_footer(images["streamOptimized"], **change))
    assert [finding.id for finding in vmdk.findings(file)] == ["bad-header"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_descriptor_that_passes_names_one_extent_of_one_kind(text):
    told = b'createType="monolithicSparse"\nRW 1 SPARSE "x"\n' + text
    if not vmdk.descriptor_findings(told):
        lines = told.partition(b"\0")[0].lower().splitlines()
        assert not any(line.startswith(b"parentfilenamehint") for line in lines)
        assert sum(line.startswith((b"rw ", b"rdonly ", b"noaccess ")) for line in lines) == 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_image_with_bytes_changed_at_random_is_judged(images, data):
    content = bytearray(images["monolithicSparse"])
    for at in data.draw(st.lists(st.integers(0, 1400), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    file = io.BytesIO(content)
    if not vmdk.findings(file):
        vmdk.truncation(file)
