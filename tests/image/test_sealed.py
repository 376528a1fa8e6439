"""Systems that are no more than their whole disk."""

import pytest

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.root_volume import root_volume
from bakery.image.sealed import refuse_read_only, refuse_sealed
from tests.image.test_boot_entries import BOOT, ROOT, Files, reader


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("ro", "roothash=5eed"), "sealed by dm-verity (roothash=)"),
        (("root=UUID=2007-02", "usrhash=5eed"), "sealed by dm-verity (usrhash=)"),
        (('dm-mod.create="root,,,ro, 0 8 verity 1"', "root=/dev/dm-0"), "put its root together"),
        (("init=/nix/store/abc-nixos-system-lab/init", "loglevel=4"), "starts a NixOS"),
    ],
)
def test_a_sealed_system_is_told_for_what_it_is(args: tuple[str, ...], words: str):
    with pytest.raises(BakeryError) as caught:
        refuse_sealed("one", args)
    assert words in caught.value.message
    assert caught.value.message.startswith("one ")
    with pytest.raises(BakeryError, match="one ") as again:
        root_volume("one", args, reader(Files({})), (ROOT.device,))
    assert again.value.message == caught.value.message


@pytest.mark.parametrize("args", [(), ("init=/bin/sh",), ("roothash=",), ("xroothash=1",)])
def test_other_systems_are_not_sealed(args: tuple[str, ...]):
    refuse_sealed("one", args)


@pytest.mark.parametrize("kind", ["erofs", "squashfs"])
def test_a_root_that_is_only_read_is_told(kind: str):
    root = Volume("/dev/sda2", 1, (), kind)
    with pytest.raises(BakeryError, match=f"system on /dev/sda2, a {kind}"):
        refuse_read_only("one", root)
    refuse_read_only("one", ROOT)
    engine = Files({})
    engine.volumes = (BOOT, root)
    for args in (("ro",), ("root=/dev/sda2",)):
        with pytest.raises(BakeryError, match=f"system on /dev/sda2, a {kind}"):
            root_volume("one", args, reader(engine), ())
