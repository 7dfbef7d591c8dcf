"""Text that is drawn as far as its reader can take it."""

import io
import math

import pytest

from bridge.cli import terminal


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def test_colours_are_for_terminals(monkeypatch):
    """Not for pipes, and not for those who have set NO_COLOR."""
    assert terminal.coloured("lost", "red") == "lost"
    monkeypatch.setattr("sys.stdout", Screen())
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.coloured("lost", "red") == "\x1b[31mlost\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.coloured("lost", "red") == "lost"


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([None, math.nan], ""),
        ([5.0, 5.0], "▁▁"),
        ([0.0, None, 7.0, math.inf], "▁ █ "),
        ([float(one) for one in range(8)], "▁▂▃▄▅▆▇█"),
    ],
)
def test_a_curve_is_one_line(values, drawn):
    """From its lowest to its highest value; gaps stay gaps."""
    assert terminal.sparkline(values) == drawn


def test_a_long_curve_is_thinned():
    """To as many letters as there is room for, the newest value last."""
    assert len(terminal.sparkline([float(one) for one in range(1000)], 10)) == 10
    assert terminal.sparkline([0.0] * 999 + [1.0], 10)[-1] == "█"


def test_letters_that_cannot_be_written_are_replaced(monkeypatch):
    """A terminal in ASCII gets a bar all the same."""
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))

    assert terminal.progress_bar(0.5, 4) == "##.."
    assert terminal.sparkline([0.0, 1.0]) == "_#"


def test_a_text_obeys_its_line():
    """What is longer is cut, and what a terminal would obey is not passed on."""
    assert terminal.cut("a\x1b[2Jb\nc", 20) == "a [2Jb c"
    assert terminal.cut("0123456789", 8) == "01234..."
