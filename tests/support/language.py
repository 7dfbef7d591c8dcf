"""Words that this project does not use, and where they stand.

Run as a program (`python -m support.language`), it prints every finding in the files named, or in all of them.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from support.repository import files, name_of

WORDS = {
    "told": "by content: reported, received, sent ...",
    "orders": "commands",
}
"""Words that no identifier has as a part, and what to write instead."""

NAMES = {
    "Order": "Command",
    "order_command": "submit_command",
    "CommandAsked": "CommandQueued",
    "Door": "StreamDependencies",
    "parts_of": "deps_of",
    "Remembering": "Snapshotter",
    "Offer": "ImageCandidate",
    "Tally": "ImageCounts",
    "tallies": "image_counts",
    "Room": "DiskBudget",
    "Durable": "DurableSink",
    "Receipt": "CommitListener",
    "Place": "ProcessRank, ImageLocation",
    "Spot": "ImageExtent",
    "Plan": "RunConfig",
    "Terms": "ServerConfig",
    "Chooser": "ImageSampler",
    "Pace": "ThroughputMeter",
    "Glance": "SessionView",
    "Spooling": "SpoolWorker",
    "Mortal": "ForkAware",
    "Courier": "_SpoolSender",
    "AbsentError": "BridgeUnreachableError",
    "BrokenOffError": "StreamBrokenError",
    "Trouble": "ConnectionFailure",
    "Forgotten": "Expired",
    "Inspection": "Checker",
}
"""Identifiers that were renamed, and to what."""

PHRASES = {
    r"told": "reported, received, sent, described ...",
    r"tells\b": "reports, returns, says",
    r"\ATell whether": "Return whether",
    r"(?<!there )is no (?!longer\b|more than\b|less than\b)": "is not a",
    r"for ever\b": "forever, endlessly",
    r"makes? trouble": "fails, misbehaves",
    r"makes? no sense": "is invalid, contradicts",
    r"comes? again": "return, is sent again",
    r"orders": "commands",
    r"(?<!in )(?:an|by|such an|each|every|no|any|one) order\b(?! of| in which)": "command",
    r"(?<!in )order (?:to|id|comes|came|is given|is answered|reaches|expires)\b": "command",
    r"ordered (?:a|to|it|the) ": "requested",
}
"""Phrases that no message, comment or page has, and what to write instead."""

PATTERNS = {
    re.compile(phrase if phrase[0] == "\\" else rf"\b{phrase}", re.IGNORECASE): instead
    for phrase, instead in PHRASES.items()
}
PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

IS_NO = re.compile(r"(?<!there)_is_no_(?!larger|longer|more|less)")
"""What no identifier says either."""

TEXTS = (
    *(".md", ".html", ".js", ".sh", ".sql", ".proto", ".toml", ".tpl", ".txt", ".yaml", ".yml"),
    *(
        "Dockerfile",
        "Makefile",
        ".ci/run",
        ".ci/release",
        ".ci/sbom",
        ".ci/audit",
        ".ci/check-hashes",
    ),
)
EXEMPT = (
    "bridge/wire/",
    "tests/chart/golden/",
    "tests/chart/schemas/",
    "tests/original/",
    "tests/unit/storage/formats/",
    "tests/repository/public_api.txt",
    "tests/repository/test_language.py",
    "tests/support/language.py",
    "constraints.txt",
    "hashes.txt",
)
"""Generated, from elsewhere, or about these very words."""


def checked() -> list[Path]:
    """Return the files that are checked."""
    return [path for path in files(".py", *TEXTS) if not name_of(path).startswith(EXEMPT)]


def findings(path: Path) -> list[str]:
    """Return what a file has that it should not have, as "line: found -> instead"."""
    text = path.read_text()
    found = list(_in_code(text)) if path.suffix == ".py" else list(_in_text(text, 1))
    return [f"{line}: {what.strip()!r} -> {instead}" for line, what, instead in sorted(set(found))]


def _in_code(source: str) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _in_text(node.value, line)
        for name in _identifiers(node):
            yield from _in_identifier(name, line)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _in_text(token.string, token.start[0])


def _identifiers(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node gives or uses."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.keyword(arg=str(name)):
            yield name
        case ast.alias(name=name, asname=other):
            yield from filter(None, (*name.split("."), other))


def _in_identifier(name: str, line: int) -> Iterator[tuple[int, str, str]]:
    if instead := NAMES.get(name.lstrip("_")):
        yield line, name, instead
    if IS_NO.search(name):
        yield line, name, "is_not_a"
    for part in PARTS.findall(name):
        if instead := WORDS.get(part.lower()):
            yield line, name, instead


def _in_text(text: str, first_line: int) -> Iterator[tuple[int, str, str]]:
    """Yield phrases, also those that are broken over two lines."""
    flat = re.sub(r"\s", " ", text)
    for pattern, instead in PATTERNS.items():
        for match in pattern.finditer(flat):
            yield first_line + text.count("\n", 0, match.start()), match[0], instead


def _main() -> None:
    for path in [Path(name).resolve() for name in sys.argv[1:]] or checked():
        for finding in findings(path):
            sys.stdout.write(f"{name_of(path)}:{finding}\n")


if __name__ == "__main__":
    _main()
