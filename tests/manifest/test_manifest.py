"""The manifest: what is written is read back, and what is not a manifest is refused in a line."""

import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.manifest import manifest as manifests
from bakery.manifest.manifest import Manifest, decode, encode, find, load, read, valid_name

sizes = st.integers(0, 2**63 - 1)
texts = st.text(max_size=20)
names = st.from_regex(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,20}", fullmatch=True)
extents = st.lists(st.builds(Extent, sizes, sizes), max_size=3).map(tuple)
artifacts = st.builds(manifests.Artifact, sizes, texts, texts, extents)
left = st.builds(
    manifests.LeftBehind,
    device=texts,
    use=texts,
    named_in=texts,
    done=st.sampled_from(["rewritten", "taken out", "noted", "refused"]),
    now=texts,
)
valid = st.builds(
    Manifest,
    version=st.just(manifests.VERSION),
    bakery_version=texts,
    name=names,
    layout=st.sampled_from(["pv", "lv", "disk"]),
    engine=texts,
    source=st.builds(manifests.Source, texts, texts, sizes, texts),
    partition=st.none() | st.builds(manifests.PartitionRecord, sizes, sizes, sizes, texts),
    lvm=st.none() | st.builds(manifests.LvmRecord, texts, texts, extents),
    root_filesystem=st.none() | st.builds(manifests.RootFilesystem, texts, texts, texts),
    deployment=st.none() | st.builds(manifests.Deployment, texts, texts, texts, texts, sizes),
    kernel_args=st.lists(texts, max_size=4).map(tuple),
    firmware=st.lists(st.sampled_from(["bios", "uefi"]), max_size=2).map(tuple),
    artifacts=st.fixed_dictionaries(dict.fromkeys(("kernel", "ramdisk", "base"), artifacts)),
    edits=st.lists(st.builds(manifests.Edit, sizes, sizes, texts), max_size=3).map(tuple),
    files_changed=st.lists(texts, max_size=3).map(tuple),
    left_behind=st.lists(left, max_size=3).map(tuple),
    mounted=st.booleans(),
    tools=st.dictionaries(texts, texts, max_size=3),
    key=texts,
)

PART = manifests.Artifact(1, "d")
EXAMPLE = Manifest(
    bakery_version="0.1.0",
    name="fedora-atomic",
    layout="pv",
    engine="direct",
    source=manifests.Source("atomic.qcow2", "qcow2", 6 << 30, "ab"),
    partition=manifests.PartitionRecord(2, 315621376, 6126829568, "8e"),
    lvm=manifests.LvmRecord("atomicos", "root", (Extent(316669952, 3 << 30),)),
    root_filesystem=manifests.RootFilesystem("xfs", "f-00"),
    deployment=manifests.Deployment("ostree-1-fedora-atomic", "6.1.0", "fedora-atomic", "c", 0),
    kernel_args=("console=ttyS0", "root=/dev/mapper/atomicos-root"),
    artifacts={"kernel": PART, "ramdisk": PART, "base": PART},
    tools={"qemu-img": "7.2"},
    key="k",
)


def changed(**fields: object) -> bytes:
    """The example's JSON with some fields replaced; None as the value takes a field away."""
    document = json.loads(encode(EXAMPLE)) | fields
    return json.dumps({key: value for key, value in document.items() if value != "GONE"}).encode()


def finished_build(directory: Path) -> Path:
    """A folder as a build leaves it."""
    for artifact in ("kernel", "ramdisk", "base"):
        (directory / f"fedora-atomic-{artifact}").write_bytes(b"x")
    (directory / "fedora-atomic.manifest.json").write_bytes(encode(EXAMPLE))
    return directory


@given(valid)
def test_what_is_written_is_read_back(manifest):
    text = encode(manifest)
    assert decode(text, "m") == manifest
    assert text.endswith(b"}\n")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_manifest_are_refused(text):
    with pytest.raises(BakeryError, match=r"^m is not a bakery manifest"):
        decode(text, "m")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(json.loads(encode(EXAMPLE)))), json_values)
def test_any_field_of_any_kind_is_read_or_refused(field, value):
    try:
        manifest = decode(changed(**{field: value}), "m")
    except BakeryError as error:
        assert error.message.startswith("m ")
    else:
        assert (
            json.loads(encode(manifest))[field] == value or field not in manifest.__struct_fields__
        )


@given(st.integers(0, len(encode(EXAMPLE)) - 1), st.integers(0, 255))
def test_a_manifest_with_a_byte_changed_is_read_or_refused(position, byte):
    text = bytearray(encode(EXAMPLE))
    text[position] = byte
    try:
        manifest = decode(bytes(text), "m")
    except BakeryError:
        return
    assert valid_name(manifest.name)


def test_brackets_without_end_are_refused():
    with pytest.raises(BakeryError):
        decode(b"[" * 100_000, "m")
    with pytest.raises(BakeryError):
        decode(b'{"source":' * 100_000, "m")


@pytest.mark.parametrize("field", ["name", "artifacts", "kernel_args", "source", "key"])
def test_a_manifest_without_a_needed_field_is_refused(field):
    with pytest.raises(BakeryError, match=field):
        decode(changed(**{field: "GONE"}), "m")


def test_a_manifest_from_before_anything_was_said_to_be_left_behind_is_read():
    old = json.loads(encode(EXAMPLE))
    del old["left_behind"]
    assert decode(json.dumps(old).encode(), "old") == EXAMPLE


def test_a_manifest_of_another_version_is_refused_by_its_number():
    with pytest.raises(BakeryError, match="version 2; this bakery reads version 1"):
        decode(changed(version=2), "m")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", ".hidden", "-rf", "a b", "a\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(name):
    assert not valid_name(name)
    with pytest.raises(BakeryError, match="which is not a file name"):
        decode(changed(name=name), "m")


@pytest.mark.parametrize("name", ["fedora-atomic", "a", "debian_12", "x86_64+rt", "v1.2.3"])
def test_an_ordinary_name_is_taken(name):
    assert valid_name(name)


def test_a_name_has_a_length():
    assert valid_name("a" * 128)
    assert not valid_name("a" * 129)


@pytest.mark.parametrize("artifact", ["kernel", "ramdisk", "base"])
def test_all_three_artifacts_must_be_listed(artifact):
    document = json.loads(encode(EXAMPLE))
    del document["artifacts"][artifact]
    with pytest.raises(BakeryError, match=f"does not list {artifact}"):
        decode(json.dumps(document).encode(), "m")


def test_a_whole_disk_needs_its_base_alone():
    part = {"size_bytes": 1, "digest": "d"}
    assert decode(changed(layout="disk", artifacts={"base": part}), "m").layout == "disk"
    with pytest.raises(BakeryError, match="does not list base"):
        decode(changed(layout="disk", artifacts={"kernel": part}), "m")


def test_extents_are_pairs_in_the_file():
    document = json.loads(encode(EXAMPLE))
    assert document["lvm"]["segments"] == [[316669952, 3 << 30]]


def test_a_finished_build_is_loaded(tmp_path):
    build = load(finished_build(tmp_path))
    assert build.manifest == EXAMPLE
    assert build.kernel == tmp_path / "fedora-atomic-kernel"
    assert build.ramdisk == tmp_path / "fedora-atomic-ramdisk"
    assert build.base == tmp_path / "fedora-atomic-base"


def test_a_folder_without_manifest_is_no_build(tmp_path):
    assert find(tmp_path) is None
    with pytest.raises(BakeryError, match="no finished build") as caught:
        load(tmp_path)
    assert f"bakery build IMAGE -o {tmp_path}" in caught.value.hint


def test_a_folder_that_is_not_there_is_no_build(tmp_path):
    with pytest.raises(BakeryError, match="no finished build"):
        load(tmp_path / "nowhere")


def test_two_manifests_in_one_folder_are_refused(tmp_path):
    finished_build(tmp_path)
    (tmp_path / "other.manifest.json").write_bytes(encode(EXAMPLE))
    with pytest.raises(BakeryError, match="several manifests"):
        load(tmp_path)


def test_a_build_that_lost_a_file_is_told(tmp_path):
    (finished_build(tmp_path) / "fedora-atomic-ramdisk").unlink()
    with pytest.raises(BakeryError, match="fedora-atomic-ramdisk, which is missing"):
        load(tmp_path)


def test_a_manifest_that_is_a_directory_is_told(tmp_path):
    (tmp_path / "x.manifest.json").mkdir()
    with pytest.raises(BakeryError, match="not a regular file"):
        load(tmp_path)


@pytest.mark.parametrize("ending", ["-kernel", "-ramdisk", "-base", "-base.zst", ".manifest.json"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_build_from_a_stranger_holds_files_alone(tmp_path, bakery, ending, kind):
    (tmp_path / "build").mkdir()
    folder = finished_build(tmp_path / "build")
    file = folder / f"fedora-atomic{ending}"
    (tmp_path / "secret").write_bytes(file.read_bytes() if file.exists() else b"")
    file.unlink(missing_ok=True)
    if kind == "link":
        file.symlink_to("../secret")
    else:
        os.mkfifo(file)
    with pytest.raises(BakeryError, match=f"{file.name} is (a link|not a regular file)"):
        load(folder)
    done = bakery("params", folder, "--for", "ironic-conf", timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{file.name} is" in done.stderr


def test_a_manifest_of_monstrous_size_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "SIZE_LIMIT_BYTES", 100)
    path = tmp_path / "x.manifest.json"
    path.write_bytes(encode(EXAMPLE))
    with pytest.raises(BakeryError, match="larger than 100 bytes"):
        read(path)


def test_a_field_of_a_later_minor_version_is_ignored():
    assert decode(changed(later_field=1), "m") == EXAMPLE


def test_the_schema_is_the_one_documented():
    """A field that goes or changes its name is a new VERSION."""
    assert {"source", "layout", "partition", "lvm", "kernel_args", "artifacts", "edits"} <= set(
        msgspec.structs.asdict(EXAMPLE)
    )


def test_what_a_manifest_does_not_say_is_not_so():
    bare = decode(encode(EXAMPLE), "m")
    source = bare.source
    assert (source.scrubbed, source.files_added, source.became) == (False, (), "")
    assert (bare.mounted, bare.edits, bare.files_changed, bare.sbom) == (False, (), (), {})
    assert (bare.version, bare.firmware, bare.distro) == (1, (), "")
    document = json.loads(encode(EXAMPLE))
    assert not {"scrubbed", "files_added", "became"} & set(document["source"])
    assert document["mounted"] is False


def test_a_manifest_of_the_largest_size_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.manifest.json"
    path.write_bytes(encode(EXAMPLE))
    monkeypatch.setattr(manifests, "SIZE_LIMIT_BYTES", path.stat().st_size)
    assert read(path) == EXAMPLE
    path.write_bytes(encode(EXAMPLE) + b" ")
    with pytest.raises(BakeryError, match="is not a manifest: larger than"):
        read(path)


def test_files_are_named_after_the_build():
    assert EXAMPLE.file("base") == "fedora-atomic-base"
    assert EXAMPLE.sbom_file("spdx") == "fedora-atomic.spdx.json"
    assert EXAMPLE.sbom_file("cyclonedx") == "fedora-atomic.cdx.json"


def test_the_first_of_several_files_that_is_missing_is_told_with_the_way_out(tmp_path):
    (finished_build(tmp_path) / "fedora-atomic-base").unlink()
    with pytest.raises(BakeryError, match="names fedora-atomic-base, which is missing") as told:
        load(tmp_path)
    assert told.value.hint == "run bakery build again"


def test_a_manifest_is_indented_by_two():
    assert encode(EXAMPLE).splitlines()[1].startswith(b'  "version"')


@pytest.mark.parametrize(
    ("name", "good"), [("_a", True), ("+a", True), ("-a", False), ("é", False)]
)
def test_a_name_begins_with_none_of_a_dot_and_a_hyphen(name, good):
    assert valid_name(name) is good
