"""The gallery repeats a picture for each row of an answer."""

import re

import pytest

from grafana.boards.gallery import EACH, END, GALLERY, NEEDS

PANELS = GALLERY["panels"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_field_that_is_filled_in_is_in_the_answer(panel):
    """Its rows have the labels that the query leaves, and its value."""
    content = panel["options"]["content"]
    assert content.startswith(EACH)
    assert content.endswith(END)
    named = set(re.findall(r"{{(\w+)}}", content))

    kept = re.findall(r"\bby \(([^)]*)\)", panel["targets"][0]["expr"])

    assert named
    assert named <= {"Value", *kept[0].split(", ")}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_needs(panel):
    """Without it Grafana shows the braces, and a reader has to know why; with queries it has fields to configure."""
    assert panel["description"].endswith(NEEDS)
    assert panel["fieldConfig"] == {"defaults": {}, "overrides": []}
