"""The chart as its tests see it: rendered, and with every text about a value in step.

Run as a program, it writes what follows from something else: the chart's README and the descriptions of its schema
from the comments of values.yaml, its version from the bridge's, and the golden renders.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart, HelmError

from bridge import __version__

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "trainbridge"
GOLDEN = ROOT / "tests" / "chart" / "golden"
CASES = {path.name.removesuffix("-values.yaml"): path for path in CHART.glob("ci/*-values.yaml")}

BOARDS = ROOT / "grafana" / "dashboards"
"""What the chart has a copy of; `python -m grafana.build` writes both, and the alert rules."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same in a tenth of the time, where PyYAML was built with libyaml."""

RULES_TEMPLATE = "trainbridge/templates/prometheusrule.yaml"

BEGIN = "<!-- values: begin -->"
END = "<!-- values: end -->"

IMAGE = {"image": {"repository": "registry.example.org/trainbridge"}}
"""The least that has to be said."""

NAMESPACES = {"everything": "ml-platform"}
RELEASES = {"everything": "second"}
"""Where a case is installed, and as what; the others as `trainbridge` in `training`."""


class RefusedError(Exception):
    """The chart does not take these values; the text is what a user sees."""


@dataclass(frozen=True, slots=True)
class Value:
    """One thing that a user can set."""

    path: str
    default: Any
    comment: str
    schema: Mapping[str, Any]


@cache
def chart():
    """Return the chart, loaded by Helm itself."""
    return Chart.load(CHART)


def files(values: Mapping[str, Any], *, name="trainbridge", namespace="training") -> dict[str, str]:
    """Return what the templates give, by name; raises RefusedError for values that the chart refuses."""
    try:
        chart().validate_schema(values)
        return chart().render(values, name=name, namespace=namespace)
    except HelmError as error:
        raise RefusedError(str(error)) from error


def notes(values: Mapping[str, Any], **where: str) -> str:
    """Return what Helm prints after an installation."""
    return files(values, **where)["trainbridge/templates/NOTES.txt"]


def objects(values: Mapping[str, Any], **where: str) -> list[dict[str, Any]]:
    """Return the objects that Kubernetes gets."""
    rendered = files(values, **where)
    texts = [rendered[path] for path in sorted(rendered) if path.endswith(".yaml")]
    return [found for text in texts for found in yaml.load_all(text, LOADER) if found]


def case(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a case, and where it is installed."""
    where = {
        "name": RELEASES.get(name, "trainbridge"),
        "namespace": NAMESPACES.get(name, "training"),
    }
    return yaml.safe_load(CASES[name].read_text()), where


def made(kind: str, **more: Any) -> list[dict[str, Any]]:
    """Return the objects of a kind that the least values and some more give."""
    return [thing for thing in objects({**IMAGE, **more}) if thing["kind"] == kind]


def only(kind: str, name: str = "default") -> dict[str, Any]:
    """Return the only object of a kind in a case."""
    [found] = [thing for thing in RENDERED[name] if thing["kind"] == kind]
    return found


def bridge_of(stateful_set: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bridge's container."""
    return stateful_set["spec"]["template"]["spec"]["containers"][0]


def called(entry: tuple[str, dict[str, Any]]) -> str:
    """Return how a test of one object of a case is called."""
    name, thing = entry
    return f"{name}-{thing['kind']}-{thing['metadata']['name'][-20:]}"


def golden(name: str) -> str:
    """Return a case as it is kept: every file that is not empty, and the notes.

    A shipped file is kept as a line with its name: tests/chart/test_shipped.py compares what is in it.
    """
    values, where = case(name)
    rendered = files(values, **where)
    parts = []
    for path in sorted(rendered):
        lines = [line.rstrip() for line in rendered[path].strip().splitlines()]
        if any(line not in ("", "---") for line in lines):
            text = _without_shipped(path, "\n".join(lines) + "\n")
            parts.append(f"# {path.removeprefix('trainbridge/')}\n{text}")
    return "---\n".join(parts)


def _without_shipped(rendered: str, text: str) -> str:
    if rendered == RULES_TEMPLATE:
        return text[: text.index("\nspec:")] + "\nspec:\n  <trainbridge.rules.yaml>\n"
    for path in originals():
        content = "\n".join(
            f"    {line}".rstrip() for line in path.read_text().strip().splitlines()
        )
        text = text.replace(f"\n{content}\n", f"\n    <{path.name}>\n")
    return text


def values() -> list[Value]:
    """Return everything that can be set, in the order of values.yaml."""
    text = (CHART / "values.yaml").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    return list(_leaves(yaml.compose(text), schema, text.splitlines(), ""))


def _leaves(
    node: yaml.MappingNode, schema: Mapping[str, Any], lines: list[str], above: str
) -> Iterator[Value]:
    for key, inner in node.value:
        path = f"{above}.{key.value}".lstrip(".")
        own = schema.get("properties", {}).get(key.value, {})
        if "properties" in own and isinstance(inner, yaml.MappingNode):
            yield from _leaves(inner, own, lines, path)
        else:
            default = yaml.safe_load(yaml.serialize(inner))
            yield Value(path, default, _comment(lines, key.start_mark.line), own)


def _comment(lines: list[str], line: int) -> str:
    """Return the comment right above a line."""
    found: list[str] = []
    while line and lines[line - 1].strip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].strip().removeprefix("#").strip())
    return " ".join(found)


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with what values.yaml says of each value."""
    for value in values():
        own = schema
        *above, last = value.path.split(".")
        for part in above:
            own = own["properties"][part]
        own["properties"][last] = {
            "description": value.comment,
            **{key: known for key, known in value.schema.items() if key != "description"},
        }
    return schema


def table() -> str:
    """Return the table of all values for the README."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for value in values():
        default = json.dumps(value.default).replace("|", "\\|")
        rows.append(
            f"| `{value.path}` | `{default}` | {value.comment.replace('|', chr(92) + '|')} |"
        )
    return "\n".join(rows)


def readme(page: str) -> str:
    """Return the README with its table written anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def versioned(chart_file: str) -> str:
    """Return Chart.yaml with the version of the bridge."""
    text = re.sub(r"^version: .*", f"version: {__version__}", chart_file, flags=re.MULTILINE)
    return re.sub(r"^appVersion: .*", f'appVersion: "{__version__}"', text, flags=re.MULTILINE)


def originals() -> list[Path]:
    """Return the boards that the chart ships."""
    return sorted(BOARDS.glob("*.json"))


def _write() -> None:
    path = CHART / "Chart.yaml"
    path.write_text(versioned(path.read_text()))
    path = CHART / "values.schema.json"
    path.write_text(json.dumps(described(json.loads(path.read_text())), indent=2) + "\n")
    path = CHART / "README.md"
    path.write_text(readme(path.read_text()))
    for old in GOLDEN.glob("*.yaml"):
        old.unlink()
    for name in sorted(CASES):
        (GOLDEN / f"{name}.yaml").write_text(golden(name))


if __name__ == "__main__":
    _write()
else:
    RENDERED = {name: objects(case(name)[0], **case(name)[1]) for name in sorted(CASES)}
    """The objects of every case."""

    ALL = [(name, thing) for name, things in RENDERED.items() for thing in things]
    """Every object, with its case."""
