"""Asks Grafana's own code what a panel makes of answers of Prometheus, and where its links lead."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from support.tools import ROOT, missing

Json = dict[str, Any]

PROGRAM = ROOT / "tests" / "support" / "grafana_panels.cjs"

SECONDS = 120


class Link(NamedTuple):
    """Where one point or cell of a panel leads."""

    panel: str
    field: str
    labels: Json
    value: Any
    href: str
    title: str


def asked(questions: Iterable[Json]) -> list[Any]:
    """Return the answer to each question: `what` names a function of the program, the rest is given to it.

    Where node or Grafana's code is missing the test is skipped, or fails when CI is set.
    """
    node = shutil.which(
        "node", path=f"{ROOT / '.tools' / 'node' / 'bin'}:{os.environ.get('PATH', '')}"
    )
    if node is None or not (ROOT / "node_modules" / "@grafana" / "data").exists():
        missing("Grafana's code for panels is not installed here", "`make check` gets it")
    done = subprocess.run(
        [node, PROGRAM],
        input="".join(f"{json.dumps(question)}\n" for question in questions),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def clickable(title: str, shown: Json) -> Iterator[Link]:
    """Yield each link of what a panel shows."""
    for frame in shown["frames"]:
        for field in frame["fields"]:
            for row, found in enumerate(field["links"]):
                for link in found:
                    value = field["values"][row] if row < len(field["values"]) else None
                    yield Link(
                        title, field["name"], field["labels"], value, link["href"], link["title"]
                    )


def columns(shown: Json) -> dict[str, list[Any]]:
    """Return the columns of a table that are shown, by name."""
    return {
        field["name"]: field["values"]
        for frame in shown["frames"]
        for field in frame["fields"]
        if not field["isHidden"]
    }
