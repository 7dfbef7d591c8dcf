"""Panels are what Grafana's JSON has, with what is common to all of them filled in."""

from grafana.panels import named_values, state_timeline


def test_values_are_named_in_their_sequence():
    """Grafana finds a mapping by the text of the value."""
    [mapping] = named_values((0, "down", "red"), (1, "up", "green"))

    assert mapping["options"] == {
        "0": {"text": "down", "color": "red", "index": 0},
        "1": {"text": "up", "color": "green", "index": 1},
    }


def test_a_state_timeline_takes_what_a_panel_takes():
    """Its mappings stand in the defaults of its fields, its options beside its own."""
    made = state_timeline(
        "Up",
        "Whether it is.",
        "up",
        mappings=named_values((1, "up", "green")),
        options={"rowHeight": 1},
    )

    assert made["fieldConfig"]["defaults"]["mappings"][0]["options"]["1"]["text"] == "up"
    assert made["options"]["rowHeight"] == 1
    assert made["options"]["mergeValues"]
