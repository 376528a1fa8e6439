from bakery.lab import sample_info
from bakery.lab.disk_layout import layout_of
from bakery.lab.sample_info import DeploymentInfo, SampleInfo
from bakery.lab.sysroot import Deployment
from bakery.lab.variants import find


def example() -> SampleInfo:
    variant = find("split-lv")
    layout = layout_of(variant)
    deployment = sample_info.deployment_info(
        Deployment("ostree-1-fedora-atomic", "c" * 64, 0, "b" * 64, ("console=ttyS0", "quiet"))
    )
    return SampleInfo(
        variant=variant.name,
        about=variant.about,
        virtual_size=layout.size,
        table=layout.table,
        partitions=sample_info.partition_infos(layout),
        volume=sample_info.volume_info(variant),
        root_filesystem="xfs",
        root_uuid="r",
        root_device="/dev/mapper/atomicos-root",
        boot_uuid="b",
        stateroot=variant.stateroot,
        deployments=(deployment,),
        kernel_version="6.1.0-1-amd64",
        kernel_args=deployment.kernel_args,
        bootcsum=deployment.bootcsum,
        layouts=sample_info.layouts_of(variant),
        firmware="bios",
        password="secret",
    )


def test_a_manifest_reads_back_as_it_was_written(tmp_path):
    path = tmp_path / "split-lv.json"
    path.write_bytes(sample_info.encode(example()))
    assert sample_info.load(path) == example()


def test_a_manifest_tells_segments_and_deployments():
    info = example()
    assert info.volume is not None
    assert info.volume.segments == ((0, 300), (400, 468))
    assert isinstance(info.deployments[0], DeploymentInfo)
    assert [p.role for p in info.partitions] == ["boot", "pv"]


def test_the_pv_layout_needs_a_physical_volume():
    assert "pv" in sample_info.layouts_of(find("default"))
    assert sample_info.layouts_of(find("btrfs-nolvm")) == ("lv", "disk")
    assert sample_info.volume_info(find("plain")) is None
