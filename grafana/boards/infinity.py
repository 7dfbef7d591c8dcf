"""The optional board that shows what only the API of the bridges has: single images, commands, configurations."""

from grafana.board import BRIDGE_URL, PAGE_OF_THE_SESSION, SESSION, board, query_variable
from grafana.infinity import (
    DATASOURCE,
    MILLISECONDS,
    NUMBER,
    SECONDS,
    Column,
    annotation,
    ask,
    asking,
)
from grafana.links import images_at_point
from grafana.panels import Query, override, row, table, timeseries
from grafana.promql import CHOSEN_BRIDGES, newest, with_bridge
from grafana.transformations import matrix
from grafana.xy import a_column_for_each, chart

COMPARED = query_variable(
    "compared",
    "Compared with each other",
    f"label_values(training_session_info{{{CHOSEN_BRIDGES}}}, session_id)",
    multi=True,
)
"""Sessions of the bridge that the board shows."""

OF_THE_SESSION = "sessions/${session}"

IN_THE_TIME_SHOWN = {"from": "${__from}", "to": "${__to}"}

IMAGE = {"type": "image", "alt": "not to be had", "title": ""}

IMAGES = asking(
    table(
        "Images",
        "Every image of the 200 newest batches within the time shown, with what it was taken for. A click on one opens its batch. Filter by its columns, such as wrong ones of one class. Empty: Grafana's server cannot reach the bridge.",
        height=16,
        unit="none",
        overrides=(
            override(
                "Image",
                custom__cellOptions=IMAGE,
                custom__width=90,
                links=[
                    {
                        "title": "Its batch",
                        "targetBlank": True,
                        "url": "${__data.fields.Page}",
                    }
                ],
            ),
            override("Page", custom__hidden=True),
            override("Confidence", unit="percentunit", decimals=1),
            override("Loss", decimals=4),
            override(
                "Wrong",
                custom__cellOptions={"type": "color-text"},
                mappings=[
                    {
                        "type": "value",
                        "options": {
                            "true": {"text": "wrong", "color": "red", "index": 0},
                            "false": {"text": "", "index": 1},
                        },
                    }
                ],
            ),
        ),
        custom={"filterable": True},
        options={"cellHeight": "lg"},
    ),
    ask(
        f"{OF_THE_SESSION}/images",
        "batches.#.images|@flatten",
        (
            Column("url", "Image"),
            Column("received_ms", "Time", MILLISECONDS),
            Column("predicted_label", "Predicted"),
            Column("predicted_class", "Predicted class", NUMBER),
            Column("confidence", "Confidence", NUMBER),
            Column("true_label", "True"),
            Column("true_class", "True class", NUMBER),
            Column("is_wrong", "Wrong"),
            Column("loss", "Loss", NUMBER),
            Column("epoch", "Epoch", NUMBER),
            Column("batch", "Batch", NUMBER),
            Column("batch_url", "Page"),
        ),
        limit="200",
        **IN_THE_TIME_SHOWN,
    ),
)

COMMANDS = asking(
    table(
        "Commands",
        "Every command to the loop, whoever sent it, with its state and its answer. One that stays queued: the loop does not come by; its page says what to look at.",
        width=12,
        overrides=(override("Sent", unit="dateTimeAsIso"),),
    ),
    ask(
        f"{OF_THE_SESSION}/commands",
        "commands",
        (
            Column("asked_at", "Sent", SECONDS),
            Column("type", "Command"),
            Column("state", "State"),
            Column("result.message", "Answer"),
            Column("result.epoch", "Epoch", NUMBER),
            Column("result.batch", "Batch", NUMBER),
            Column("note", "Note"),
        ),
    ),
)

EVENTS = asking(
    table(
        "Events",
        "The newest events that the loop reported, with their messages, which Prometheus does not have. Warnings and errors are worth a look.",
        width=12,
        overrides=(override("Time", unit="dateTimeAsIso"),),
    ),
    ask(
        f"{OF_THE_SESSION}/events",
        "events",
        (
            Column("at", "Time", SECONDS),
            Column("name", "Event"),
            Column("level", "Level"),
            Column("message", "Message"),
            Column("step", "Step", NUMBER),
        ),
    ),
)

CONFIGURATION = asking(
    table(
        "Differences in configuration",
        "What the sessions chosen for the comparison were given that is not the same, a column each. Empty: nothing differs, or they are on another bridge.",
        width=12,
        transformations=matrix(row="Key", column="Session", value="Value"),
    ),
    ask(
        "compare",
        "config.cells.#(is_different==true)#",
        (Column("name", "Key"), Column("session_id", "Session"), Column("value", "Value")),
        sessions="${compared:csv}",
    ),
)

LOSSES = asking(
    chart(
        "Loss curves",
        "The loss of the sessions chosen for the comparison by their steps, as the bridge keeps it for as long as it keeps the session; Prometheus forgets sooner. Empty: they are on another bridge.",
        width=12,
        x_title="Step",
        x_unit="short",
        scale="symlog",
        transformations=a_column_for_each("Session", x="At", y="Mean", x_title="Step"),
    ),
    ask(
        "compare",
        "curve.lines.#.points|@flatten",
        (
            Column("session_id", "Session"),
            Column("x", "At", NUMBER),
            Column("mean", "Mean", NUMBER),
        ),
        sessions="${compared:csv}",
    ),
)

LOSS = timeseries(
    "Loss",
    "The highest loss between two points, so that no spike hides. A click on a point opens the images of that moment.",
    Query(with_bridge(newest("max_over_time(training_loss_interval_max[$__interval])")), "highest"),
    width=24,
    scale="symlog",
    links=(images_at_point(is_extreme=True),),
)

INFINITY_BOARD = board(
    uid="trainbridge-infinity",
    title="Images and commands",
    description="What only the API of the bridges has: single images with what they were taken for, commands and events with their texts, configurations side by side. Needs the Infinity data source (yesoreyeram-infinity-datasource) with the address of the bridges among its allowed hosts.",
    variables=(DATASOURCE, SESSION, BRIDGE_URL, COMPARED),
    annotations=(
        annotation("Epochs", "epoch", "purple"),
        annotation("Attempts", "attempt,end", "blue"),
        annotation("Commands", "command", "yellow"),
        annotation("Events", "event", "green"),
        annotation("Alerts", "alert", "red"),
    ),
    links=(PAGE_OF_THE_SESSION,),
    refresh="1m",
    since="now-1h",
    panels=(
        LOSS,
        IMAGES,
        row("What happened"),
        COMMANDS,
        EVENTS,
        row("Sessions of this bridge side by side"),
        CONFIGURATION,
        LOSSES,
    ),
)
