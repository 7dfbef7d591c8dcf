"""Which of the values that several sources give a setting counts, where one setting goes with another."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bridge.config.attributes import split_attributes

PAIRS = (
    ("s3_access_key", "s3_secret_key"),
    ("otlp_client_cert_file", "otlp_client_key_file"),
)
"""Settings that are worth something together only: one of them never counts beside the other of another pair."""


class Kind(StrEnum):
    """The kinds of sources, the first to count first; variables of other tools come after the file."""

    FLAG = "flag"
    VARIABLE = "variable"
    FILE = "file"
    YAML = "config"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value came from."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """Return it as an error message has it."""
        return f"{self.kind} {self.name}".rstrip()

    @property
    def is_of_other_tools(self) -> bool:
        """Whether it is a variable that is there for every program."""
        return self.kind is Kind.VARIABLE and not self.name.startswith("TRAINBRIDGE_")

    @property
    def rank(self) -> int:
        """The lower, the sooner it counts."""
        return len(Kind) if self.is_of_other_tools else list(Kind).index(self.kind)


@dataclass(frozen=True, slots=True)
class Given:
    """A value from a source, as it was written."""

    value: Any
    origin: Origin
    written: str | None = None
    """As it was written where another form of it counts."""


def in_effect(candidates: Mapping[str, Sequence[Given]]) -> dict[str, Given]:
    """Return the value that counts of each setting; `candidates` has them in the order in which they count."""
    given = {name: values[0] for name, values in candidates.items() if values}
    for pair in PAIRS:
        _keep_together(pair, candidates, given)
    _prefer_general_endpoint(given)
    _name_service(given)
    return given


def _keep_together(
    pair: tuple[str, str], candidates: Mapping[str, Sequence[Given]], given: dict[str, Given]
) -> None:
    """Take both of a pair from the source that counts first.

    Where that has one alone, another source of trainbridge that has the other alone completes it: a key in the
    file, its secret in a variable.
    """
    found = sorted((given[name].origin.rank, name) for name in pair if name in given)
    if not found:
        return
    rank, first = found[0]
    [second] = set(pair) - {first}
    whole = {each.origin.rank for each in candidates[first]}
    match = [each for each in candidates[second] if each.origin.rank == rank] or [
        each
        for each in candidates[second]
        if not each.origin.is_of_other_tools and each.origin.rank not in whole
    ]
    given.pop(second, None)
    if match:
        given[second] = match[0]


def _prefer_general_endpoint(given: dict[str, Given]) -> None:
    """Drop the full URL for spans where the address they go to was given by a source that counts before."""
    general, full = given.get("otlp_endpoint"), given.get("otlp_traces_endpoint")
    if general and full and general.origin.rank < full.origin.rank:
        del given["otlp_traces_endpoint"]


def _name_service(given: dict[str, Given]) -> None:
    """Take service.name from the attributes of the resource, unless a source that counts as much names it itself."""
    attributes, own = given.get("otlp_resource_attributes"), given.get("otlp_service_name")
    if attributes is None or (own is not None and own.origin.rank <= attributes.origin.rank):
        return
    with suppress(ValueError):
        name = split_attributes(str(attributes.value)).get("service.name", "").strip()
        if name:
            given["otlp_service_name"] = Given(name, attributes.origin)
