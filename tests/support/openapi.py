"""Hold what the API answers against the document that it serves, more strictly than the document itself is."""

import json
from typing import Any

from jsonschema import Draft202012Validator


def closed(schema: Any) -> Any:
    """Return a schema whose objects have nothing but what it lists: newer bridges may add fields, this one may not."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    if isinstance(inner.get("properties"), dict):
        inner.setdefault("additionalProperties", False)
    return inner


def check_answer(document: dict, operation: dict, status: int, type: str, body: bytes) -> None:
    """Fail unless an answer's status, type and content are described."""
    described = operation["responses"].get(str(status))
    assert described is not None, f"{status} is not described: {body[:500]!r}"
    content = described["content"].get(type)
    assert content is not None, f"{type} is not described of {status}: {body[:500]!r}"
    schema = {**closed(content["schema"]), "components": closed(document["components"])}
    Draft202012Validator(schema).validate(json.loads(body))
