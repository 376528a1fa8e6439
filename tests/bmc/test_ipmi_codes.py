"""IPMI v2.0, tables 5-2 and 13-15."""

import pytest
from pyghmi.ipmi.private import constants

from bakery.bmc.ipmi_codes import login_passes, passes, status_words

CHASSIS_ANSWER, APPLICATION_ANSWER = 1, 7
SET_BOOT_OPTIONS, ACTIVATE_SESSION = 0x08, 0x3A


def test_codes_of_a_bmc_that_is_not_ready_pass_and_others_do_not():
    passing = {code for code in range(256) if passes(CHASSIS_ANSWER, 2, code)}
    assert passing == {0xC0, 0xC3, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD5}


def test_codes_of_a_command_count_for_that_command_alone():
    assert passes(CHASSIS_ANSWER, SET_BOOT_OPTIONS, 0x81)
    assert not passes(CHASSIS_ANSWER, SET_BOOT_OPTIONS, 0x80)
    assert passes(APPLICATION_ANSWER, ACTIVATE_SESSION, 0x81)
    assert not passes(APPLICATION_ANSWER, SET_BOOT_OPTIONS, 0x81)


def test_a_login_passes_by_the_code_it_failed_with():
    passing = {code for code, words in constants.rmcp_codes.items() if login_passes(words)}
    assert passing == {0x01, 0x02, 0x08, 0x0B}


@pytest.mark.parametrize("words", ["", "Incorrect password provided", "Unauthorized name in RAKP2"])
def test_a_login_that_is_denied_does_not_pass(words):
    assert not login_passes(words)


def test_a_status_is_told_with_its_number():
    assert status_words(0x0D) == "Unauthorized name (0Dh)"
    assert status_words(0x77) == "Unrecognized status (77h)"
