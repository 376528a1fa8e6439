"""Which refusals of a BMC pass by themselves, and which are its last word.

Source: IPMI v2.0 rev. 1.1, table 5-2 completion codes, table 13-15 RMCP+ status codes, 22.17
Activate Session and 28.12 Set System Boot Options for the codes of those commands.
"""

from pyghmi.ipmi.private import constants

OK = 0x00
# Busy; timeout; no response to give; a repeated request; the SDR or the firmware being updated;
# initialising; "not supported in present state", as a power order that meets another.
PASSING = frozenset((0xC0, 0xC3, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD5))
# By network function of the answer, and command: others set boot options; no free session.
PASSING_OF = {(1, 0x08): frozenset((0x81,)), (7, 0x3A): frozenset((0x81, 0x82, 0x83))}
# No free session; the BMC has forgotten the one that was being opened; none free for the role.
PASSING_STATUS = frozenset((0x01, 0x02, 0x08, 0x0B))


def passes(network_function: int, command: int, code: int) -> bool:
    """Whether a command that was answered with a completion code can be given again."""
    return code in PASSING or code in PASSING_OF.get((network_function, command), ())


def status_words(status: int) -> str:
    """What an RMCP+ status code means, in pyghmi's words."""
    return str(constants.rmcp_codes.get(status, "Unrecognized status")) + f" ({status:02X}h)"


def login_passes(words: str) -> bool:
    """Whether a login that failed can be tried again.

    pyghmi tells why in words alone: its own for the code, with what it was doing behind them.
    """
    every = [constants.ipmi_completion_codes.get(code) for code in PASSING]
    every += [constants.rmcp_codes.get(status) for status in PASSING_STATUS]
    for command, codes in PASSING_OF.items():
        every += [constants.command_completion_codes[command].get(code) for code in codes]
    return words.startswith(tuple(filter(None, every)))
