"""What the chart makes of each case is what somebody has looked at."""

import difflib

import helm_python
import pytest
import yaml
from support.charts import CASES, CHART, GOLDEN, case, golden, objects

HOW = "look at the difference; where it is meant, run `.venv/bin/python tests/support/charts.py`"


@pytest.mark.parametrize("name", sorted(CASES))
def test_renders_as_it_was_reviewed(name):
    """Nothing that a cluster or a user gets changes unseen."""
    kept = (GOLDEN / f"{name}.yaml").read_text().splitlines()
    difference = list(difflib.unified_diff(kept, golden(name).splitlines(), "kept", "now", n=1))

    assert not difference, "\n".join([HOW, *difference[:60]])


def test_every_case_is_kept():
    """There is a golden render for each case, and no other."""
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("version", ["v1.27.0", "v1.37.0"])
def test_lint_finds_nothing(name, version):
    """`helm lint --strict` has neither error nor warning."""
    values, where = case(name)
    report = helm_python.lint(
        CHART, values, strict=True, kube_version=version, namespace=where["namespace"]
    )

    assert report["errors"] == []
    assert [found for found in report["messages"] if found["severity"] > 1] == []


@pytest.mark.parametrize("name", sorted(CASES))
def test_rendering_twice_gives_the_same(name):
    """Nothing random: a second `helm upgrade` changes nothing."""
    values, where = case(name)

    assert objects(values, **where) == objects(values, **where)


def test_the_package_has_what_is_needed_and_nothing_else(tmp_path):
    """What is pushed to a registry renders like the folder, without the cases."""
    with helm_python.Chart.load(CHART) as chart:
        archive = chart.save(tmp_path)
    values, where = case("autoscaled")

    with helm_python.Chart.load(archive) as packed:
        names = {file["name"] for file in packed.files}
        rendered = packed.render(values, **where)
    found = [
        thing
        for path in sorted(rendered)
        if path.endswith(".yaml")
        for thing in yaml.safe_load_all(rendered[path])
        if thing
    ]

    assert found == objects(values, **where)
    assert not [name for name in names if name.startswith("ci/")]
    assert {"README.md", "files/rules/trainbridge.rules.yaml"} <= names
