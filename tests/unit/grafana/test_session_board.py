"""From each point about what is learned, one click leads to its images, on the bridge that has them."""

import json

import pytest

from grafana.boards.images import IMAGES_BOARD
from grafana.boards.session import HEALTH, OVERVIEW, SESSION_BOARD
from grafana.boards.session_learning import LEARNING, LOSS_IN_DETAIL, NUMBERS

LEARNED = [
    panel
    for panel in (*OVERVIEW[:1], OVERVIEW[2], *LOSS_IN_DETAIL, *NUMBERS, *LEARNING)
    if panel["type"] == "timeseries"
]


def links_of(panel):
    """Return the links of all series of a panel."""
    configured = panel["fieldConfig"]
    return [
        *configured["defaults"].get("links", ()),
        *(
            link
            for override in configured["overrides"]
            for item in override["properties"]
            if item["id"] == "links"
            for link in item["value"]
        ),
    ]


@pytest.mark.parametrize("panel", LEARNED, ids=lambda panel: panel["title"])
def test_every_point_leads_to_the_images_of_its_moment(panel):
    """Each series knows the address of its bridge, and one click is enough."""
    leading = links_of(panel)

    assert leading
    assert all(link["oneClick"] for link in leading)
    for link in leading:
        assert link["url"].startswith("${__field.labels.public_url}/go/images?session=")
    for target in panel["targets"]:
        assert "group_left (public_url)" in target["expr"], target["refId"]


def test_only_the_first_query_has_exemplars():
    """Grafana shows those of one only."""
    for panel in LOSS_IN_DETAIL:
        exemplars = [target.get("exemplar", False) for target in panel["targets"]]
        assert exemplars[0] or not any(exemplars), panel["title"]
        assert not any(exemplars[1:]), panel["title"]


def test_the_first_row_fits_beside_itself_and_finds_what_has_ended():
    """Whether a run is well is seen at one glance, also after its series have gone."""
    assert sum(panel["gridPos"]["w"] for panel in HEALTH) == 24
    found = [panel["title"] for panel in HEALTH if "[$__range]" in panel["targets"][0]["expr"]]
    assert found == ["State", "Progress", "Epoch", "Step", "Attempt", "Goodput"]
    assert all(panel["targets"][0]["instant"] for panel in HEALTH)


def test_details_are_closed_at_first():
    """A reader opens what the first charts make them ask for."""
    rows = [panel for panel in SESSION_BOARD["panels"] if panel["type"] == "row"]

    assert rows
    assert all(row["collapsed"] and row["panels"] for row in rows)


def test_a_board_is_not_full_of_lines():
    """Epochs may be short: theirs are shown when they are asked for."""
    shown = {one["name"]: one["enable"] for one in SESSION_BOARD["annotations"]["list"]}

    assert shown == {
        "Epochs": False,
        "Attempts": True,
        "Commands": True,
        "Events": True,
        "Alerts": True,
    }


def test_a_name_is_not_a_pattern():
    """A session called a.b is not shown with the numbers of a-b, on any board of one session."""
    text = json.dumps([SESSION_BOARD, IMAGES_BOARD])

    assert "session_id=~" not in text
    assert r"session_id=\"$session\"" in text
