"""docs/metrics.md describes what /metrics has."""

import re

import pytest
from support.markdown import blocks, tables_under
from support.tools import ROOT

from bridge.families import BRIDGE_FAMILIES, Type
from bridge.sinks.metrics.families import TRAINING_FAMILIES
from bridge.sinks.metrics.process import REGISTRY as PROCESS
from grafana.promql import OF_THE_PROCESS

PAGE = (ROOT / "docs" / "metrics.md").read_text()
TABLES = tables_under(PAGE)
QUERIES = blocks(PAGE, "promql")


@pytest.mark.parametrize(
    ("heading", "families"),
    [("Training sessions", TRAINING_FAMILIES), ("The bridge", BRIDGE_FAMILIES)],
)
def test_every_family_stands_in_its_table(heading, families):
    """Name, type, labels, help and source are those of the code, in the order of the page."""
    rows = [
        [f"`{f.name}`", f.type, ", ".join(f"`{label}`" for label in f.labels), f.help, f.source]
        for f in families
    ]

    assert TABLES[heading] == rows


def test_every_series_of_the_process_stands_in_its_table():
    """What prometheus_client calls them, and in the same words."""
    rows = [
        [
            f"`{family.name}{'_total' * (family.type == 'counter')}`",
            family.type,
            family.documentation,
        ]
        for family in PROCESS.collect()
    ]

    assert TABLES["The process"] == rows
    assert {row[0].strip("`") for row in rows} >= set(OF_THE_PROCESS)


def test_buckets_are_as_documented():
    """Every histogram stands with its bounds, so that a threshold can be one of them."""
    rows = [
        [f"`{f.name}`", ", ".join(f"{bound:g}" for bound in f.buckets)]
        for f in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES)
        if f.type is Type.HISTOGRAM
    ]

    assert TABLES["Buckets"] == rows


def test_the_queries_are_ready():
    """As many as the page promises."""
    assert len(QUERIES) == 10


@pytest.mark.parametrize("query", QUERIES)
def test_queries_name_series_that_exist(query):
    """No ready query asks for a series, or a label of it, that does not exist."""
    labels = {
        family.name + suffix: {*family.labels, "le"}
        for family in TRAINING_FAMILIES
        for suffix in (("_bucket", "_sum", "_count") if family.buckets else ("",))
    }
    asked = re.findall(r"(training_\w+)(?:\{(\w+)=)?", query)

    assert asked
    for name, label in asked:
        assert name in labels
        assert not label or label in labels[name]
