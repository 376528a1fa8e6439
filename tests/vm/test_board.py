"""Which machine a guest gets, and how it runs here."""

import pytest

from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.kvm import Acceleration
from bakery.vm import board as board_module
from bakery.vm.board import AARCH64, BOARDS, X86_64, acceleration_of, board_for


@pytest.mark.parametrize(
    ("processor", "board"),
    [
        ("x86_64", X86_64),
        ("amd64", X86_64),
        ("i686", X86_64),
        ("aarch64", AARCH64),
        ("arm64", AARCH64),
        ("", X86_64),
    ],
)
def test_a_kernel_gets_a_machine_that_runs_it(processor, board):
    assert board_for(processor) is board


def test_a_processor_without_a_machine_is_refused_with_those_there_are():
    with pytest.raises(BakeryError, match="riscv64") as refused:
        board_for("riscv64")
    assert refused.value.hint == "there are x86_64 and aarch64"


def test_kvm_runs_guests_of_the_machines_own_processor_alone(monkeypatch):
    own = Acceleration("kvm", "it was tried")
    monkeypatch.setattr(board_module, "examine", lambda: own)
    assert acceleration_of(X86_64, "x86_64") == own
    assert acceleration_of(AARCH64, "aarch64") == own
    reason = "this machine is x86_64, the guest aarch64"
    assert acceleration_of(AARCH64, "x86_64") == Acceleration("tcg", reason)


def test_the_program_of_each_machine_is_one_whose_package_is_known():
    for board in BOARDS:
        assert tools.install_hint([board.program])
