from bakery.samples import facts
from bakery.samples.disk_layout import layout_of
from bakery.samples.facts import SampleInfo
from bakery.samples.sysroot import Deployment
from bakery.samples.variants import find


def example() -> SampleInfo:
    variant = find("split-lv")
    layout = layout_of(variant)
    args = ("console=ttyS0", "quiet")
    deployment = Deployment("ostree-1-fedora-atomic", "c" * 64, 0, "b" * 64, args)
    return SampleInfo(
        variant=variant.name,
        about=variant.about,
        virtual_size=layout.size,
        table=layout.table,
        partitions=layout.partitions,
        volume=variant.lvm,
        root_filesystem="xfs",
        root_uuid="r",
        root_device="/dev/mapper/atomicos-root",
        boot_uuid="b",
        stateroot=variant.stateroot,
        deployments=(deployment,),
        kernel_version="6.1.0-1-amd64",
        kernel_args=deployment.kernel_args,
        bootcsum=deployment.bootcsum,
        layouts=facts.layouts_of(variant),
        firmware="bios",
        password="secret",
    )


def test_a_manifest_reads_back_as_it_was_written(tmp_path):
    path = tmp_path / "split-lv.json"
    path.write_bytes(facts.encode(example()))
    assert facts.load(path) == example()


def test_a_manifest_tells_segments_and_deployments():
    info = example()
    assert info.volume is not None
    assert info.volume.segments == ((0, 300), (400, 468))
    assert [p.role for p in info.partitions] == ["boot", "pv"]


def test_the_pv_layout_needs_a_physical_volume():
    assert "pv" in facts.layouts_of(find("default"))
    assert facts.layouts_of(find("btrfs-nolvm")) == ("lv", "disk")
