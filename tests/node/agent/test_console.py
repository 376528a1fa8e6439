import re

from bakery.node.agent.console import say


def test_what_is_said_is_one_line_whatever_is_in_it(capsys):
    say("two\nlines, a \x1b[31mcolour and é")
    line = capsys.readouterr().out
    assert re.fullmatch(r"agent \[ *\d+\.\d\d\] two\?lines, a \?\[31mcolour and é\n", line)
