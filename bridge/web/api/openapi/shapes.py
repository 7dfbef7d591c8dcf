"""What descriptions of the API are written in: JSON schemas, parameters, and operations made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.protocol import SESSION_ID
from bridge.web.request_params import MAX_UINT32

Schema = Mapping[str, Any]


def text(description: str = "", **bounds: Any) -> Schema:
    """Return the schema of a text."""
    return _described({"type": "string", **bounds}, description)


def whole(description: str = "", **bounds: Any) -> Schema:
    """Return the schema of a whole number, by default from 0."""
    return _described({"type": "integer", "minimum": 0, **bounds}, description)


def real(description: str = "", **bounds: Any) -> Schema:
    """Return the schema of a number that is always finite."""
    return _described({"type": "number", **bounds}, description)


def flag(description: str = "") -> Schema:
    """Return the schema of true or false."""
    return _described({"type": "boolean"}, description)


def choice(values: Iterable[str], description: str = "") -> Schema:
    """Return the schema of a word out of several."""
    return _described({"type": "string", "enum": [str(value) for value in values]}, description)


def url(description: str = "") -> Schema:
    """Return the schema of an absolute URL."""
    return text(description, format="uri")


def many(items: Schema, description: str = "", **bounds: Any) -> Schema:
    """Return the schema of a list."""
    return _described({"type": "array", "items": items, **bounds}, description)


def by_name(values: Schema, description: str = "", **bounds: Any) -> Schema:
    """Return the schema of an object whose keys are anybody's names."""
    return _described({"type": "object", "additionalProperties": values, **bounds}, description)


def record(description: str = "", **fields: Schema) -> Schema:
    """Return the schema of an object that has all of these fields; newer bridges may add others."""
    return _described(
        {"type": "object", "properties": fields, "required": list(fields)}, description
    )


def ref(name: str, description: str = "") -> Schema:
    """Return a reference to a schema of the document."""
    return _described({"$ref": f"#/components/schemas/{name}"}, description)


def maybe(schema: Schema, description: str = "") -> Schema:
    """Return the schema of a value that may be null: not reported, or absent."""
    return _described({"anyOf": [schema, {"type": "null"}]}, description)


def _described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description} if description else schema


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a request may have in its query, or must have in its path."""

    name: str
    description: str
    schema: Schema
    place: str = "query"
    required: bool = False
    is_list: bool = False
    """Whether several values stand in it, with commas between them."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of an endpoint."""

    tag: str
    summary: str
    answers: Mapping[int, str]
    """What each status means that comes with `content`."""
    content: Schema
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    errors: tuple[int, ...] = ()
    """Statuses of problems, besides those that every endpoint may answer with."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of a response that is not a problem, and what they hold."""


SESSION_NAME = text(pattern=f"^{SESSION_ID.pattern}$")

SESSION_IN_PATH = Parameter("session_id", "The session.", SESSION_NAME, place="path", required=True)

BATCH_IN_PATH = (
    Parameter("epoch", "The epoch.", whole(maximum=MAX_UINT32), place="path", required=True),
    Parameter(
        "batch",
        "The batch in its epoch; of a run that counts by steps the step, in epoch 0.",
        whole(maximum=MAX_UINT32),
        place="path",
        required=True,
    ),
)

ATTEMPT = Parameter(
    "attempt",
    "Only this attempt of the session, from 1; without it, the newest or all, as the operation says.",
    whole(minimum=1, maximum=MAX_UINT32),
)


def limit(default: int, highest: int, of: str) -> Parameter:
    """Return the parameter that bounds a page."""
    bounds = whole(minimum=1, maximum=highest, default=default)
    return Parameter("limit", f"How many {of} a page has at most.", bounds)


NEXT = maybe(url(), "The URL of the next page; null: this is the last one.")

NUMBER = {
    "description": "A number as it was reported; what JSON has no number for is a string.",
    "anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}],
}

PROBLEM = record(
    "Why a request was not served (RFC 9457).",
    type=text(),
    title=text(),
    status=whole(minimum=400, maximum=599),
    detail=text("What is wrong, and what to do."),
)

SHARED: Mapping[str, Schema] = {"Number": NUMBER, "Problem": PROBLEM}
"""Schemas that several topics refer to."""
