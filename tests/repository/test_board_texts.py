"""What Grafana itself makes of the texts, units and links of the boards, by its own code."""

import html
import re

from support.boards import BOARDS, filled, panels, texts
from support.grafana_models import UNITS
from support.grafana_panels import asked, clickable

from grafana.panels import timeseries

FILLED = {
    "bridge_url": "https://bridge.example.com/base",
    "session": "night-1",
    "job": ".+",
    "instance": ".+",
    "__from": "1700000000000",
    "__to": "1700004243000",
}
"""What stands in the place of variables, as HTML: nothing in it needs an escape."""

ROW = {
    "public_url": "https://bridge.example.com/base",
    "session_id": "night-1",
    "true_class": "3",
    "predicted_class": "8",
    "Value": "12",
}
"""A row of a query, for text panels that repeat themselves for each."""

OF_A_NEW_TAB = ' rel="noopener noreferrer"'
"""What Grafana adds to a link by itself."""

POINT = {
    "metric": {"session_id": "night-1", "public_url": "https://bridge.example.com"},
    "values": [[1_700_000_000, "0.5"], [1_700_000_015, "9.25"]],
}


def test_texts_come_through_the_sanitizer_as_they_are():
    """What Grafana takes away is not there on anyone's screen: a style, a frame, an address."""
    pieces = [
        (where, place, filled(of_a_row(text) if place == "panel" else text, FILLED))
        for name in BOARDS
        for where, place, text in texts(name)
    ]

    shown = sanitized((place, text) for _, place, text in pieces)

    for (where, _, text), back in zip(pieces, shown, strict=True):
        assert plain(back) == plain(text), where


def test_newest_images_are_the_newest():
    """By a moment alone a bridge chooses the batch with the highest loss before it."""
    sheets = [
        (panel["title"], address)
        for board in BOARDS.values()
        for panel in panels(board)
        if panel["title"].startswith("Newest images")
        for address in re.findall(r'src="([^"]+)"', panel["options"]["content"])
    ]

    assert len(sheets) == 3
    for title, address in sheets:
        assert "prefer=newest" in html.unescape(address), title


def of_a_row(text):
    """Return a piece of HTML as it is once its fields are filled in, which is before it is sanitised."""
    once = text.replace("{{#each data}}", "").replace("{{/each}}", "")
    return re.sub(r"{{(\w+)}}", lambda match: ROW[match[1]], once)


def sanitized(pieces):
    """Return what Grafana makes of pieces of HTML, each in its kind of place."""
    return asked({"what": "sanitized", "place": place, "html": text} for place, text in pieces)


def plain(text):
    """Return HTML without what Grafana adds, and without its ways to write a letter."""
    return html.unescape(text.replace(OF_A_NEW_TAB, ""))


def test_what_a_sanitizer_takes_away_is_noticed():
    """The check above can fail, in both places."""
    script = '<iframe onload="x()"></iframe>'

    for back in sanitized([("panel", script), ("annotation", script)]):
        assert plain(back) != plain(script)


def test_units_are_those_of_grafana():
    """Every unit of the boards is one that this version formats."""
    [known] = asked([{"what": "units"}])
    used = {
        panel["fieldConfig"]["defaults"]["unit"]
        for board in BOARDS.values()
        for panel in panels(board)
        if "unit" in panel.get("fieldConfig", {}).get("defaults", {})
    }

    assert used & UNITS <= set(known)


def test_a_point_leads_to_the_images_of_its_moment():
    """The bridge and the session are those of the series, the moment that of the point, the window that of the chart."""
    link = {
        "title": "Images",
        "url": "${__field.labels.public_url}/go/images?session=${__field.labels.session_id}"
        "&at=${__value.time}&window_ms=${__interval_ms}&more=${__field.labels.absent}",
    }
    chart = timeseries("Loss", "A chart.", "training_loss", links=[link])

    [shown] = asked(
        [question(chart, [{"refId": "A", "format": "", "legend": "", "result": [POINT]}])]
    )

    assert [each.href for each in clickable("Loss", shown)] == [
        "https://bridge.example.com/go/images?session=night-1&at=1700000000000&window_ms=15000&more=",
        "https://bridge.example.com/go/images?session=night-1&at=1700000015000&window_ms=15000&more=",
    ]


def question(panel, answers):
    """Return the question what a panel makes of answers."""
    times = {"range": {"from": 1_700_000_000_000, "to": 1_700_004_243_000}, "intervalMs": 15_000}
    return {"what": "panel", "panel": panel, "answers": answers, "variables": FILLED, **times}
