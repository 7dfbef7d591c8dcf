"""Rows as a table of text."""

from collections.abc import Sequence

from row import Row

HEADINGS = ("ratio", "what", "regime", "figure", "floor", "peers", "target", "met")
LEFT = {1, 2, 5, 6}
"""Columns of words; the others are numbers, and end in line."""

MET = {True: "yes", False: "NO", None: ""}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned columns, under a heading."""
    lines = [HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        "" if row.ratio is None else f"{row.ratio:.2f}x",
        row.name,
        row.regime,
        "" if row.figure is None else f"{number(row.figure)} {row.unit}",
        "" if row.floor is None else f"{row.floor[0]} {number(row.floor[1])}",
        ", ".join(f"{name} {number(figure)}" for name, figure in row.peers.items()),
        row.target,
        MET[row.met],
    )


def number(figure: float) -> str:
    """Return three significant digits, thousands separated: 1,234 and 0.0123."""
    if abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.ljust(width) if place in LEFT else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()
