"""`trainbridge sessions compare`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence

from bridge.cli.arguments import add_action_arguments, bridge_client
from bridge.cli.exit_status import DONE, FAILED
from bridge.cli.plain_json import record_json
from bridge.cli.session_screen import duration, number, table
from bridge.cli.terminal import cut, sparkline, width
from bridge.client.query import QueryError
from bridge.client.query_logged import ComparedSession, Comparison

SHORTEST_CELL = 8
LONGEST_CELL = 28

RESULTS: tuple[tuple[str, Callable[[ComparedSession], str]], ...] = (
    ("state", lambda one: one.state),
    ("epoch", lambda one: "-" if one.epoch is None else str(one.epoch)),
    ("step", lambda one: "-" if one.step is None else str(one.step)),
    (
        "duration",
        lambda one: "-" if one.duration_seconds is None else duration(one.duration_seconds),
    ),
    ("last loss", lambda one: number(one.loss)),
    ("best loss", lambda one: number(one.best.loss)),
    ("best validation loss", lambda one: number(one.best.validation_loss)),
    ("best accuracy", lambda one: number(one.best.accuracy)),
    ("best validation accuracy", lambda one: number(one.best.validation_accuracy)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sessions compare`."""
    parser.epilog = "exit status: 0 if all of them are compared; 1 if one is not there."
    parser.add_argument(
        "names",
        nargs="+",
        metavar="SESSION",
        help="the ids of sessions, as `trainbridge sessions` lists them",
    )
    parser.add_argument(
        "--curve",
        default="",
        metavar="NAME",
        help="which curve to draw, such as epoch.validation_loss or a number that they log (default: loss)",
    )
    add_action_arguments(parser, "the comparison")


def run(arguments: argparse.Namespace) -> int:
    """Print sessions side by side."""
    client = bridge_client(arguments)
    compared = client.compare(list(dict.fromkeys(arguments.names)), curve=arguments.curve)
    if not compared.sessions:
        raise QueryError(
            f"none of these sessions is on the bridge at {client.url}; `trainbridge sessions` lists those there are"
        )
    if arguments.json:
        sys.stdout.write(json.dumps(record_json(compared), indent=2) + "\n")
    else:
        sys.stdout.write(_text(compared))
    return FAILED if _has_gaps(compared) else DONE


def _has_gaps(compared: Comparison) -> bool:
    """Say which sessions are not compared, and return whether there are any."""
    sys.stdout.flush()
    for names, why in (
        (compared.unknown, "not on this bridge"),
        (compared.left_out, "more than are compared at once"),
    ):
        if names:
            sys.stderr.write(f"trainbridge: {', '.join(names)}: {why}\n")
    return bool(compared.unknown or compared.left_out)


def _text(compared: Comparison) -> str:
    names = [session.session_id for session in compared.sessions]
    head = [["", *names]]
    results = [[label, *map(text_of, compared.sessions)] for label, text_of in RESULTS]
    reported = [row for row in results if set(row[1:]) != {"-"}]
    curve = compared.curve
    lines = {line.session_id: sparkline([p.mean for p in line.points], 16) for line in curve.lines}
    drawn = [[f"{curve.name} by {curve.by}", *(lines.get(name) or "-" for name in names)]]
    scalars = [
        [name, *(number(session.scalars.get(name)) for session in compared.sessions)]
        for name in sorted({name for session in compared.sessions for name in session.scalars})
    ]
    configs = [
        [row.name, *(_value(row.values, name) for name in names)]
        for row in compared.config.different
    ]
    sections = [
        ("", reported + drawn),
        ("last values", scalars),
        ("different configuration", configs),
    ]
    return table([_cut_row(row) for row in _rows(head, sections)])


def _rows(
    head: list[list[str]], sections: Sequence[tuple[str, list[list[str]]]]
) -> Iterator[list[str]]:
    """Yield the rows of all sections, each below its title; those without rows are left out."""
    yield from head
    columns = len(head[0])
    for title, rows in sections:
        if rows and title:
            yield [""] * columns
            yield [title, *([""] * (columns - 1))]
        yield from rows


def _cut_row(row: Sequence[str]) -> list[str]:
    letters = max(SHORTEST_CELL, min(LONGEST_CELL, width() // len(row) - 2))
    return [
        cut(cell, LONGEST_CELL if position == 0 else letters) for position, cell in enumerate(row)
    ]


def _value(values: object, name: str) -> str:
    if not isinstance(values, dict) or name not in values:
        return "-"
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value)
