import gzip
import lzma

import pytest
import zstandard

from bakery.host.errors import BakeryError
from bakery.node.ramdisk import modules

VIRTIO_NET = "kernel/drivers/net/virtio_net.ko"
TABLES = {
    "modules.dep": f"{VIRTIO_NET}: kernel/drivers/net/net_failover.ko\n"
    "kernel/drivers/net/net_failover.ko:\n"
    "kernel/drivers/net/ethernet/realtek/r8169.ko.xz:\n"
    "kernel/drivers/net/phy/realtek.ko.gz:\n"
    "kernel/crypto/crc32c_generic.ko:\n"
    "kernel/sound/snd.ko:\n",
    "modules.alias": "alias virtio:d00000001v* virtio_net\n"
    "alias crypto-crc32c crc32c_generic\nalias snd-card-* snd\n",
    "modules.softdep": "softdep r8169 pre: realtek post: crypto-crc32c\nsoftdep snd pre: x\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    for line in TABLES["modules.dep"].splitlines():
        path = tmp_path / line.partition(":")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.name.encode()
        if path.suffix == ".xz":
            content = lzma.compress(content)
        if path.suffix == ".gz":
            content = gzip.compress(content)
        path.write_bytes(content)
    return tmp_path


def test_wanted_modules_come_with_what_they_need_and_wish(folder):
    chosen = modules.choose(folder)
    assert list(chosen.files) == [
        "kernel/crypto/crc32c_generic.ko",
        "kernel/drivers/net/ethernet/realtek/r8169.ko",
        "kernel/drivers/net/net_failover.ko",
        "kernel/drivers/net/phy/realtek.ko",
        VIRTIO_NET,
    ]


def test_modules_are_unpacked(folder):
    chosen = modules.choose(folder)
    assert chosen.files["kernel/drivers/net/ethernet/realtek/r8169.ko"] == b"r8169.ko.xz"
    assert chosen.files["kernel/drivers/net/phy/realtek.ko"] == b"realtek.ko.gz"


def test_the_index_speaks_of_the_chosen_modules_alone(folder):
    index = modules.choose(folder).index
    assert f"{VIRTIO_NET}: kernel/drivers/net/net_failover.ko\n" in index["modules.dep"]
    assert ".xz" not in index["modules.dep"]
    assert index["modules.alias"] == (
        "alias virtio:d00000001v* virtio_net\nalias crypto-crc32c crc32c_generic\n"
    )
    assert index["modules.softdep"] == "softdep r8169 pre: realtek post: crypto-crc32c\n"


def test_a_module_that_cannot_be_unpacked_is_named(folder):
    (folder / "kernel/drivers/net/ethernet/realtek/r8169.ko.xz").write_bytes(b"no")
    with pytest.raises(BakeryError, match=r"r8169\.ko\.xz cannot be read"):
        modules.choose(folder)


def test_a_module_compressed_by_zstd_is_unpacked(folder):
    plain = folder / "kernel/drivers/net/net_failover.ko"
    plain.with_suffix(".ko.zst").write_bytes(zstandard.compress(b"unpacked"))
    plain.unlink()
    table = (folder / "modules.dep").read_text().replace("net_failover.ko", "net_failover.ko.zst")
    (folder / "modules.dep").write_text(table)
    assert modules.choose(folder).files["kernel/drivers/net/net_failover.ko"] == b"unpacked"


def test_what_needs_one_another_comes_once(folder):
    (folder / "modules.dep").write_text(
        "kernel/drivers/ata/a.ko: kernel/b.ko\nkernel/b.ko: kernel/drivers/ata/a.ko\n"
        "kernel/drivers/ata/built-in: kernel/none.ko\n"
    )
    for name in ("drivers/ata/a.ko", "b.ko"):
        (folder / "kernel" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "kernel" / name).write_bytes(b"")
    chosen = modules.choose(folder)
    assert list(chosen.files) == ["kernel/b.ko", "kernel/drivers/ata/a.ko"]
    assert chosen.index["modules.dep"] == (
        "kernel/b.ko: kernel/drivers/ata/a.ko\nkernel/drivers/ata/a.ko: kernel/b.ko\n"
    )


def test_a_wish_is_for_a_name_a_path_has_or_an_alias_that_means_one_module(folder):
    (folder / "modules.alias").write_text(
        "alias wild-* snd\nalias two snd\nalias two-words net_failover too\n# alias x snd\n"
        "alias gone no_such\n"
    )
    for wish, comes in (
        ("pre: two", True),
        ("post: snd", True),
        ("pre: wild-*", False),
        ("pre: two-words", False),
        ("pre: gone", False),
        ("", False),
    ):
        (folder / "modules.softdep").write_text(f"softdep virtio_net {wish}\nsoftdep\n\n")
        chosen = modules.choose(folder)
        assert ("kernel/sound/snd.ko" in chosen.files) == comes, wish


def test_a_name_has_underscores_whatever_its_file_has():
    assert modules.module_name("kernel/a-b/crc32c-intel.ko.xz") == "crc32c_intel"
    assert (modules.bare("k/a.ko.zst"), modules.bare("k/a.ko")) == ("k/a.ko", "k/a.ko")


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(BakeryError, match="not a folder of kernel modules"):
        modules.choose(tmp_path)


def test_a_kernel_without_drivers_is_refused(folder):
    (folder / "modules.dep").write_text("kernel/sound/snd.ko:\n")
    with pytest.raises(BakeryError, match="none of the drivers"):
        modules.choose(folder)


@pytest.mark.parametrize(
    "path",
    [
        "kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko",
        "kernel/drivers/net/ethernet/broadcom/bnxt/bnxt_en.ko.xz",
        "kernel/drivers/nvme/host/nvme.ko",
        "kernel/drivers/scsi/megaraid/megaraid_sas.ko",
        "kernel/drivers/ata/ahci.ko",
        "kernel/drivers/block/virtio_blk.ko",
        "kernel/drivers/scsi/sd_mod.ko",
        "kernel/net/8021q/8021q.ko.zst",
    ],
)
def test_drivers_of_servers_are_wanted(path):
    assert modules.is_wanted(path)


@pytest.mark.parametrize(
    "path",
    [
        "kernel/drivers/net/wireless/ath/ath.ko",
        "kernel/drivers/nvme/host/nvme-tcp.ko",
        "kernel/drivers/net/ethernet/mellanox/mlxsw/mlxsw_core.ko",
        "kernel/drivers/gpu/drm/drm.ko",
    ],
)
def test_other_drivers_are_not(path):
    assert not modules.is_wanted(path)


def test_firmware_that_is_there_comes_along_and_what_is_not_is_told(tmp_path):
    (tmp_path / "lib/firmware/bnx2x").mkdir(parents=True)
    (tmp_path / "lib/firmware/bnx2x/a.fw").write_bytes(b"code")
    content = b"\0license=GPL\0firmware=bnx2x/a.fw\0firmware=bnx2x/b.fw\0"
    chosen = modules.Modules(
        {"k/bnx2x.ko": content, "k/tg3.ko": b"\0firmware=tg3.bin\0", "k/ahci.ko": b"x"}, {}
    )
    found, lacking = modules.firmware(chosen, tmp_path)
    assert {path: entry.content for path, entry in found.items()} == {
        "usr/lib/firmware/bnx2x/a.fw": b"code"
    }
    assert lacking == ("tg3",)


def test_firmware_outside_its_folder_is_not_taken(tmp_path):
    (tmp_path / "lib/firmware").mkdir(parents=True)
    (tmp_path / "lib/secret").write_bytes(b"x")
    chosen = modules.Modules({"k/a.ko": b"\0firmware=../secret\0firmware=a/../../secret\0"}, {})
    assert modules.firmware(chosen, tmp_path)[0] == {}
