"""The OpenAPI document of the JSON API, made of the route table and of what is said of each endpoint."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from bridge import __version__
from bridge.access import Role
from bridge.web.api.openapi import alerts, bridges, commands, comparison, images, runs, sessions
from bridge.web.api.openapi.endpoint import get_document
from bridge.web.api.openapi.shapes import SHARED, Operation, Parameter, Schema, ref, text
from bridge.web.cookies import NAME
from bridge.web.errors import Endpoint

API = "/api/"

TOPICS = (sessions, images, runs, comparison, commands, alerts, bridges)

ITSELF = Operation("Description", "Get this document", {200: "It."}, {"type": "object"})

OPERATIONS: Mapping[Endpoint, Operation] = {
    get_document: ITSELF,
    **{endpoint: one for topic in TOPICS for endpoint, one in topic.OPERATIONS.items()},
}

SCHEMAS: Mapping[str, Schema] = {
    **SHARED,
    **{name: schema for topic in TOPICS for name, schema in topic.SCHEMAS.items()},
}

EVERYWHERE = (401, 403, 421, 500, 503)
"""Statuses of problems that every endpoint may answer with."""

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the bridge's tokens file, or a JWT of the issuer that it trusts.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": NAME,
        "description": "What a browser gets at the login page; over TLS its name begins with __Host- or __Secure-.",
    },
}

ABOUT = """What a bridge knows of training sessions, and commands to their loops.

A number that JSON has no notation for is one of the strings "NaN", "Infinity" and "-Infinity". null means not reported. Times whose
names end in `_at` are seconds since 1970, those that end in `_ms` milliseconds. An empty parameter counts as absent."""


class DescribedRoute(Protocol):
    """A row of the route table."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def plain(self) -> str:
        """The path as documentation writes it."""

    @property
    def endpoint(self) -> Endpoint:
        """What serves it."""

    @property
    def role(self) -> Role | None:
        """What whoever makes a request must have."""


def build_document(routes: Iterable[DescribedRoute], *, asks_for_tokens: bool) -> dict[str, Any]:
    """Return the document of those routes that belong to the API; raises KeyError for one that nothing is said of."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.plain.startswith(API):
            operation = OPERATIONS[route.endpoint]
            described = _operation(route, operation, asks_for_tokens=asks_for_tokens)
            paths.setdefault(route.plain, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "trainbridge", "version": __version__, "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": SECURITY_SCHEMES if asks_for_tokens else {},
        },
    }


def _operation(
    route: DescribedRoute, operation: Operation, *, asks_for_tokens: bool
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": getattr(route.endpoint, "__name__", ""),
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [_parameter(one) for one in operation.parameters],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.body)}
    if asks_for_tokens:
        described["description"] = f"Needs the role {route.role}."
        described["security"] = [{name: []} for name in SECURITY_SCHEMES]
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    if parameter.is_list:
        described |= {"style": "form", "explode": False}
    if not parameter.required:
        described["allowEmptyValue"] = True
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    problems = sorted({*EVERYWHERE, *operation.errors})
    responses = {str(status): _problem(status) for status in problems}
    for status, meaning in operation.answers.items():
        answer = _answer(operation, meaning)
        if status in problems:
            answer["content"] |= responses[str(status)]["content"]
        responses[str(status)] = answer
    return responses


def _answer(operation: Operation, meaning: str) -> dict[str, Any]:
    headers = {
        name: {"description": description, "schema": text()}
        for name, description in operation.headers.items()
    }
    answer: dict[str, Any] = {"description": meaning, "content": _json(operation.content)}
    return {**answer, "headers": headers} if headers else answer


def _problem(status: int) -> dict[str, Any]:
    content = _json(ref("Problem"), "application/problem+json")
    return {"description": HTTPStatus(status).phrase, "content": content}


def _json(schema: Schema, type: str = "application/json") -> dict[str, Any]:
    return {type: {"schema": schema}}
