"""Plain data as YAML that people can read; the files of rules need no more of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Scalar: TypeAlias = str | int | bool
Data: TypeAlias = "Mapping[str, Data] | Sequence[Data] | Scalar"


def yaml_text(data: Data) -> str:
    """Return a document."""
    return "\n".join(_lines(data)) + "\n"


def quoted(text: str) -> str:
    """Return a text as a string of YAML in single quotes."""
    return "'{}'".format(text.replace("'", "''"))


def _lines(data: Data) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _entry(key, value)
    elif isinstance(data, Sequence) and not isinstance(data, str):
        for value in data:
            first, *rest = _lines(value)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(data)


def _entry(key: str, value: Data) -> Iterator[str]:
    if isinstance(value, str | int):
        yield f"{key}: {_scalar(value)}"
    else:
        yield f"{key}:"
        yield from (f"  {line}" for line in _lines(value))


def _scalar(value: Scalar) -> str:
    if isinstance(value, str):
        return quoted(value)
    return str(value).lower()
