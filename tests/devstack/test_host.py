import pytest

from bakery.devstack import host
from bakery.devstack.host import GIB, MIB, Host
from bakery.host.errors import BakeryError

TIGHT = "even 16 GiB is tight for devstack with Ironic's nodes"
LEFT = "and the machine has {}: {} remain for devstack's services"


@pytest.mark.parametrize(
    ("memory", "nodes", "mib", "faults"),
    [
        (64 * GIB, 3, 3072, []),
        (20 * GIB, 4, 3072, []),
        (
            20 * GIB - MIB,
            4,
            3072,
            [
                (
                    "warning",
                    "4 nodes of 3072 MiB need 12.0 GiB, " + LEFT.format("20.0 GiB", "8.0 GiB"),
                )
            ],
        ),
        (
            12 * GIB,
            1,
            12288,
            [
                (
                    "warning",
                    "1 node of 12288 MiB needs 12.0 GiB, " + LEFT.format("12.0 GiB", "0.0 GiB"),
                )
            ],
        ),
        (
            12 * GIB - 1,
            1,
            12288,
            [("error", "1 node of 12288 MiB needs 12.0 GiB, and the machine has 12.0 GiB")],
        ),
        (
            15 * GIB,
            1,
            1024,
            [("warning", f"the machine has 15.0 GiB; {TIGHT}")],
        ),
    ],
)
def test_what_nodes_leave_of_a_machine(memory, nodes, mib, faults):
    assert host.memory_faults(Host(memory), nodes, mib) == faults


def test_a_machine_sold_with_16_gb_is_comfortable():
    assert Host(int(15.04 * GIB) + 1).is_comfortable
    assert not Host(int(15.04 * GIB)).is_comfortable


def test_the_memory_of_this_machine_is_its_total(tmp_path):
    file = tmp_path / "meminfo"
    file.write_text("MemFree:   8 kB\nMemTotal:  16 kB\nMemTotal:  32 kB\n")
    assert host.this(file) == Host(16384)
    for text in ("MemTotal: x kB\n", "MemTotal:\n", None):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        with pytest.raises(BakeryError, match="meminfo cannot be read") as refused:
            host.this(file)
        assert refused.value.hint == "give it with --memory GIB"
    file.write_text("")
    with pytest.raises(BakeryError, match="does not state the memory"):
        host.this(file)
