"""docs/cost.md shows the figures of the last measurement."""

import json
import sys

from support.tools import ROOT

sys.path.append(str(ROOT / "benchmarks" / "client"))

import cost_page

RESULTS = json.loads(cost_page.RESULTS.read_text())
PAGE = cost_page.PAGE.read_text()


def test_the_table_is_that_of_the_results():
    """`make bench-client` writes both."""
    assert cost_page.page_with(PAGE, RESULTS) == PAGE


def test_the_measurement_was_complete():
    """Every benchmark gave its figures, of trainbridge with its bridge up, down and frozen."""
    assert RESULTS["failed"] == []
    for state in ("up", "down", "frozen"):
        assert f"| trainbridge, bridge {state} | loss only | full speed |" in PAGE
    assert "results-client.json" in (ROOT / "Makefile").read_text()
