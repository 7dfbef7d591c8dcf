"""The bridges that share a database, for the OpenAPI document."""

from bridge.web.api.bridges import list_bridges
from bridge.web.api.openapi.shapes import (
    Operation,
    flag,
    many,
    maybe,
    real,
    record,
    ref,
    text,
    whole,
)

BRIDGE = record(
    "A bridge that shares the database.",
    bridge_id=text(),
    this=flag("Whether it is the one that answers."),
    url=maybe(text(), "Where the others reach it."),
    version=maybe(text()),
    started_at=real("Seconds since 1970."),
    seen_seconds=real("Since it was seen last, by the clock of the database.", minimum=0),
    alive=flag(
        "Whether that is not too long ago: of one that is not, the others take the sessions."
    ),
    sessions=whole("How many it has."),
)

BRIDGES = record(
    "The bridges that share a database.",
    bridge_id=maybe(text(), "Of the one that answers; null: it has a database of its own."),
    acknowledgement=maybe(text(), "What an Ack means here."),
    bridges=many(ref("Bridge"), "Empty for a token that is bound to a prefix of sessions."),
)

SCHEMAS = {"Bridges": BRIDGES, "Bridge": BRIDGE}

OPERATIONS = {
    list_bridges: Operation(
        "Bridges", "List the bridges that share the database", {200: "They."}, ref("Bridges")
    ),
}
