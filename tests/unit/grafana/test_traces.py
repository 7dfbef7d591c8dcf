"""The traces board asks Tempo for spans that bridges send."""

import re

import pytest
from support.markdown import tables_under
from support.tools import ROOT

from grafana.boards.traces import TRACES_BOARD

ATTRIBUTES = {
    row[0].strip("`"): row[1]
    for row in tables_under((ROOT / "docs" / "traces.md").read_text())["Attributes"]
}
"""On which spans each attribute is."""

QUERIES = [
    target["query"]
    for panel in TRACES_BOARD["panels"]
    for target in panel.get("targets", ())
    if "{" in target["query"].replace("${", "")
]


@pytest.mark.parametrize("query", QUERIES)
def test_every_attribute_is_on_the_spans_that_are_asked_for(query):
    """A misspelt one would be an empty column."""
    [name] = re.findall(r'name = "training\.([\w.]+)"', query)
    kind = {"session.end": "end"}.get(name, name)

    asked = re.findall(r"span\.([\w.]+)", query)

    assert asked
    for attribute in asked:
        assert {kind, "all"} & set(ATTRIBUTES[attribute].split(", ")), attribute


def test_the_trace_is_that_of_an_attempt():
    """Its id is what the session's series have, so no search is needed."""
    [trace] = [one for one in TRACES_BOARD["templating"]["list"] if one["name"] == "trace"]

    assert TRACES_BOARD["panels"][0]["targets"][0]["query"] == "${trace}"
    assert trace["query"]["query"].endswith("trace_id)")
