"""Every board is one that Grafana loads, and that a reader can use without its author."""

import json
import re
from itertools import combinations

import pytest
from support.boards import BOARDS, links, panels
from support.grafana_models import UNITS, round_trip

from grafana.board import COLUMNS

MAX_BYTES = 1 << 20
"""Of a ConfigMap's entry, in which the sidecar of the chart of Grafana finds a board."""

UIDS = {f"trainbridge-{name}" for name in ("fleet", "session", "images", "bridge", "compare")}

WITHOUT_A_UNIT = ("text", "row", "marcusolsson-dynamictext-panel", "traces", "logs", "dashlist")

OF_OUR_OWN = ("suffix:", "prefix:", "time:", "currency:")
"""How a unit begins that Grafana takes as it is written."""

NEWER_THAN_THE_SDK = ("oneClick",)
"""Keys of Grafana 11.6 that the models of the SDK do not have."""

PICKED = {"job": "Job", "instance": "Instance"}


@pytest.fixture(params=BOARDS)
def board(request):
    """A board, as its file has it."""
    return BOARDS[request.param]


def test_uids_are_fixed():
    """Links and bookmarks name them: a file is called by its uid, and none is there twice."""
    assert [board["uid"] for board in BOARDS.values()] == list(BOARDS)
    assert all(uid in UIDS or uid.startswith("trainbridge-") for uid in BOARDS)


def test_a_board_can_be_provisioned_and_imported(board):
    """It fits into a ConfigMap, asks the importer nothing, has no id of another Grafana, and Git Sync copies it."""
    assert len(json.dumps(board, indent=1)) < MAX_BYTES
    assert not {"__inputs", "__requires"} & board.keys()
    assert board.get("id") is None
    assert board["editable"] is True
    assert "trainbridge" in board["tags"]
    assert board["description"]


def test_the_reader_chooses_the_data_source_the_job_and_the_instance(board):
    """As on every other board of theirs: several at a time, at first all, and read again as the time changes."""
    chosen = {one["name"]: one for one in board["templating"]["list"]}

    assert chosen["datasource"]["type"] == "datasource"
    assert chosen["datasource"]["query"] == "prometheus"
    assert chosen["datasource"]["label"] == "Data source"
    for name, label in PICKED.items():
        picked = chosen[name]
        assert (picked["type"], picked["multi"], picked["allValue"]) == ("query", True, ".+")
        assert picked["label"] == label
    for variable in chosen.values():
        if variable["type"] == "query":
            assert variable["refresh"] == 2, variable["name"]
            assert variable["datasource"]["uid"] in uids(chosen), variable["name"]
    assert len(chosen) == len(board["templating"]["list"])


def uids(variables):
    """Return what may stand as the data source of a panel: a variable of that type."""
    named = [name for name, one in variables.items() if one["type"] == "datasource"]
    for name in named:
        assert name == "datasource" or name == f"{kind(variables[name])}_datasource"
    return {f"${{{name}}}" for name in named}


def kind(variable):
    """Return the type of data source that a variable picks, by its plain name."""
    return next(name for name in ("tempo", "infinity", "prometheus") if name in variable["query"])


def test_every_panel_says_what_it_shows_and_what_to_do(board):
    """It has a title and a description of more than its title, of which no two are the same in one board."""
    shown = [panel for panel in panels(board) if panel["type"] != "row"]

    assert all(panel["title"] for panel in panels(board))
    for panel in shown:
        assert len(panel["description"]) > len(panel["title"]) + 10, panel["title"]
        assert panel["description"].rstrip()[-1] in ".)!?", panel["title"]
    titles = [panel["title"] for panel in shown]
    assert sorted(titles) == sorted(set(titles))


def test_every_number_has_a_unit_of_grafana(board):
    """A misspelt unit is shown behind the number, as text."""
    for panel in panels(board):
        if panel["type"] in WITHOUT_A_UNIT:
            continue
        fields = panel["fieldConfig"]
        found = [fields["defaults"]["unit"]]
        found += [
            item["value"]
            for override in fields["overrides"]
            for item in override["properties"]
            if item["id"] == "unit"
        ]
        for unit in found:
            assert unit in UNITS or unit.startswith(OF_OUR_OWN), f"{panel['title']}: {unit}"


def test_every_panel_asks_the_data_source_that_was_chosen(board):
    """None names one by itself, which no other Grafana has; and no two queries of a panel have one letter."""
    allowed = uids({one["name"]: one for one in board["templating"]["list"]})
    for panel in panels(board):
        targets = panel.get("targets", ())
        if panel["type"] not in ("row", "text", "dashlist"):
            assert targets, panel["title"]
            assert panel["datasource"]["uid"] in {*allowed, "-- Mixed --"}, panel["title"]
        assert {target["datasource"]["uid"] for target in targets} <= allowed, panel["title"]
        letters = [target["refId"] for target in targets]
        assert len(letters) == len(set(letters)), panel["title"]


def test_panels_lie_side_by_side(board):
    """Each has an id of its own; none reaches over the edge, and none lies on another one."""
    ids = [panel["id"] for panel in panels(board)]
    assert len(ids) == len(set(ids))
    for together in (board["panels"], *(panel.get("panels", []) for panel in board["panels"])):
        for panel in together:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        for one, other in combinations(together, 2):
            assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def overlap(one, other):
    """Return whether two places share a field of the grid."""
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_grafana_knows_every_key(board):
    """What its own models do not have comes back from them without it, and would do nothing."""
    back = round_trip(board)

    lost = [path for path in missing(board, back) if not path.endswith(NEWER_THAN_THE_SDK)]
    assert lost == []


def missing(given, back, path=""):
    """Yield the path of every key and value that did not come back."""
    if isinstance(given, dict) and isinstance(back, dict):
        for key, value in given.items():
            if key in back:
                yield from missing(value, back[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for number, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from missing(one, other, f"{path}[{number}]")
    elif given != back:
        yield f"{path}: {given!r} came back as {back!r}"


def test_a_key_that_grafana_does_not_know_is_noticed():
    """The check above can fail: by a misspelt option, deep within a panel."""
    board = json.loads(json.dumps(next(iter(BOARDS.values()))))
    chart = next(panel for panel in panels(board) if panel["type"] == "timeseries")
    chart["fieldConfig"]["defaults"]["custom"]["lineWidht"] = 2

    back = round_trip(board)

    assert any(path.endswith("custom.lineWidht") for path in missing(board, back))


def test_links_lead_to_boards_that_there_are(board):
    """Within Grafana only to uids of ours, with the data source and the time kept; else to a bridge."""
    for panel, link in links(board):
        url = link["url"]
        assert link["title"], panel["title"]
        if url.startswith("/d/"):
            uid = url.removeprefix("/d/").partition("?")[0].partition("/")[0]
            assert uid in BOARDS, f"{panel['title']}: {url}"
            assert "${datasource:queryparam}" in url, panel["title"]
            assert "${__url_time_range}" in url, panel["title"]
        else:
            assert url.startswith("${"), f"{panel['title']}: {url}"
            assert link["targetBlank"], f"{panel['title']}: a bridge opens beside the board"


def test_pictures_are_seen_wholly(board):
    """A picture that is wider or higher than its panel is cut; one of a fixed width or height may be either."""
    for panel in panels(board):
        html = panel.get("options", {}).get("content", "")
        if "<img" not in html or "{{#each" in html:
            continue
        room = panel["gridPos"]["h"] * 38 - 8 - 56
        height = re.search(r'<img [^>]*style="max-width:100%; max-height:(\d+)px;"', html)
        assert height, panel["title"]
        assert int(height[1]) <= room, panel["title"]
        assert not re.search(r'<img [^>]*(width|height)="', html), panel["title"]
