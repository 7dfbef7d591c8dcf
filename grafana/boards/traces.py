"""The optional board of one session's trace: its attempts, epochs and windows as spans of Tempo."""

from typing import Any

from grafana.board import (
    BRIDGE_URL,
    PAGE_OF_THE_SESSION,
    SESSION,
    board,
    data_source,
    query_variable,
)
from grafana.panels import override, panel, table
from grafana.promql import CHOSEN_BRIDGES

Json = dict[str, Any]

TEMPO: Json = {"type": "tempo", "uid": "${tempo_datasource}"}

DATASOURCE = data_source("tempo_datasource", "Tempo data source", "tempo")

TRACE = query_variable(
    "trace",
    "Trace",
    f'label_values(training_session_info{{{CHOSEN_BRIDGES}, session_id=~"$session"}}, trace_id)',
)
"""Of one attempt: each is a trace of its own."""

SPANS = 200
"""As many as a table shows, of each trace."""

LINKS_TO_IMAGES = override(
    ".*images\\.url",
    "byRegexp",
    links=[{"title": "Its images", "targetBlank": True, "url": "${__value.text}"}],
)
"""The attribute is an address of the bridge, which a table would show as text."""


def traceql(query: str, **more: Any) -> Json:
    """Return a query of Tempo: TraceQL, or the id of a trace."""
    target: Json = {
        "refId": "A",
        "datasource": TEMPO,
        "queryType": "traceql",
        "query": query,
        "filters": [],
    }
    return target | more


def spans(title: str, description: str, name: str, *attributes: str) -> Json:
    """Return a table of the spans of one name of the session, with these attributes."""
    selected = ", ".join(f"span.training.{attribute}" for attribute in attributes)
    query = (
        f'{{ name = "{name}" && span.training.session.id = "${{session}}" }} | select({selected})'
    )
    made = table(title, description, overrides=(LINKS_TO_IMAGES,))
    asked = traceql(query, tableType="spans", limit=20, spss=SPANS)
    return made | {"datasource": TEMPO, "targets": [asked]}


PANELS = (
    panel(
        "traces",
        "Trace",
        "The attempt chosen above: its epochs, the windows of each, and what happened in them. A click on a span shows its numbers and the link to its images. Empty: the bridge has no --otlp-endpoint, or Tempo has dropped it.",
        width=24,
        height=14,
    )
    | {"datasource": TEMPO, "targets": [traceql("${trace}")]},
    spans(
        "Epochs",
        "Each epoch of the session, over all its attempts, with its averages. One that took far longer than the others: open its trace and see its windows.",
        "training.epoch",
        *("epoch", "loss", "loss.highest", "accuracy", "validation.accuracy", "images.url"),
    ),
    spans(
        "Windows",
        "Parts of epochs, sent while the epoch goes on (--spans-every-steps, --spans-every-seconds). The images are those of the batch with the highest loss in each.",
        "training.window",
        *("epoch", "step", "loss", "loss.highest", "samples_per_second", "images.url"),
    ),
    spans(
        "Ends",
        "How each attempt of the session ended, and with which numbers. One that is missing goes on, or was never heard of again.",
        "training.session.end",
        *("session.attempt", "status", "epochs", "loss", "accuracy"),
    ),
)

TRACES_BOARD = board(
    uid="trainbridge-traces",
    title="Traces",
    description="The spans of one session, as its bridge sends them to Tempo (docs/traces.md). Needs a Tempo data source that the bridge's --otlp-endpoint leads to.",
    variables=(DATASOURCE, SESSION, TRACE, BRIDGE_URL),
    links=(PAGE_OF_THE_SESSION,),
    refresh="1m",
    panels=PANELS,
)
