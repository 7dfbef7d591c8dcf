"""Writes the figures of results-client.json into the table of docs/cost.md."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results-client.json"
PAGE = ROOT / "docs" / "cost.md"
BEGIN, END = "<!-- the table of results-client.json -->", "<!-- the end of the table -->"

HEADINGS = (
    *("reports to", "each step", "pace"),
    *("p50", "p99", "max", "CPU for 10,000 steps"),
)
FIGURES = ("p50", "p99", "max", "CPU")


def table(results: Mapping[str, Any]) -> str:
    """Return the figures as a table in Markdown, one line for each loop that was timed."""
    loops: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for row in results["rows"]:
        subject, payload, figure = row["name"].split("; ")
        loops.setdefault((subject, payload, row["regime"]), {})[figure] = row
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    lines += [
        (*loop, *_figures(found)) for loop, found in loops.items() if set(FIGURES) <= found.keys()
    ]
    lines += [
        (*loop, _shown(found["a step"]), "", "", "")
        for loop, found in loops.items()
        if "a step" in found
    ]
    return "\n".join(_line(line) for line in lines)


def measured_on(results: Mapping[str, Any]) -> str:
    """Return where and how the figures were measured."""
    machine = results["machine"]
    kind = "a short run (`--quick`)" if results["quick"] else "a full run"
    where = f"{machine['cores']} cores, Python {machine['python']}, {machine['system']}"
    return f"{kind} on {where}, {results['date']}"


def page_with(text: str, results: Mapping[str, Any]) -> str:
    """Return the page with its table replaced."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    inside = f"Measured by {measured_on(results)}.\n\n{table(results)}"
    return f"{before}{BEGIN}\n\n{inside}\n\n{END}{after}"


def _figures(found: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    return (_shown(found[figure]) for figure in FIGURES)


def _shown(row: Mapping[str, Any]) -> str:
    figure = row["figure"]
    if figure is None:
        return "not measured"
    if row["unit"] != "us":
        return f"{figure:,.0f} s" if figure >= 10 else f"{max(0.0, figure):.2f} s"
    return f"{figure / 1000:,.3g} ms" if figure >= 1000 else f"{figure:.3g} us"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page anew."""
    if not RESULTS.exists():
        sys.exit(f"there is no {RESULTS.name}: run `make bench-client`")
    results = json.loads(RESULTS.read_text())
    PAGE.write_text(page_with(PAGE.read_text(), results))


if __name__ == "__main__":
    main()
