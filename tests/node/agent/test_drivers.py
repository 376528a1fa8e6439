"""Which modules are asked for: devices in trees like sysfs, and a modprobe that finds more."""

from collections.abc import Callable
from functools import partial

import pytest

from bakery.node.agent import drivers


def add(sys, bus, device, alias=None):
    folder = sys / "bus" / bus / "devices" / device
    folder.mkdir(parents=True)
    if alias is not None:
        (folder / "modalias").write_text(alias + "\n")


@pytest.fixture
def loaded(monkeypatch):
    """What modprobe was given; `then` is what each call brings up."""
    calls: list[list[str]] = []
    then: list[Callable[[], None]] = []

    def call(argv, timeout, *, check):
        assert (argv[:2], check) == (["modprobe", "-abq"], False)
        calls.append(argv[2:])
        if then:
            then.pop(0)()

    monkeypatch.setattr(drivers, "call", call)
    return calls, then


def test_every_devices_module_is_asked_for_once_in_a_fixed_order(tmp_path, loaded):
    add(tmp_path, "pci", "0000:00:02.0", "pci:v00008086d2")
    add(tmp_path, "pci", "0000:00:01.0", "pci:v00008086d1")
    add(tmp_path, "virtio", "virtio0", "virtio:d1")
    add(tmp_path, "virtio", "virtio1", "virtio:d1")
    add(tmp_path, "cpu", "cpu0")
    add(tmp_path, "pnp", "00:00", "")
    drivers.load(str(tmp_path))
    assert loaded[0] == [["pci:v00008086d1", "pci:v00008086d2", "virtio:d1"]]


def test_what_a_driver_finds_is_asked_for_and_nothing_twice(tmp_path, loaded):
    calls, then = loaded
    add(tmp_path, "pci", "a", "pci:1")
    then.append(lambda: add(tmp_path, "scsi", "b", "scsi:t-0x00"))
    drivers.load(str(tmp_path))
    assert calls == [["pci:1"], ["scsi:t-0x00"]]


def test_it_ends_with_a_machine_that_finds_something_new_for_ever(tmp_path, loaded):
    calls, then = loaded
    add(tmp_path, "pci", "0", "pci:0")
    for number in range(1, 20):
        then.append(partial(add, tmp_path, "pci", str(number), f"pci:{number}"))
    drivers.load(str(tmp_path))
    assert len(calls) == drivers.ROUNDS


def test_a_machine_without_buses_has_nothing_to_load(tmp_path, loaded):
    drivers.load(str(tmp_path))
    assert loaded[0] == []
