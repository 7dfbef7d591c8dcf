"""The canary's own page, and what docs/canary.md says of it."""

import re
import urllib.request

import pytest
import yaml
from support.markdown import blocks, tables_under
from support.tools import ROOT

from bridge import cli
from bridge.canary import Page, serving
from bridge.canary.page import BUCKETS
from bridge.canary.verdict import Finding, Kind, What
from bridge.errors import SettingError

DOCUMENT = (ROOT / "docs" / "canary.md").read_text()
RULES = yaml.safe_load(blocks(DOCUMENT, "yaml")[-1])


def families(page):
    """Return name, type, labels and help of every family, as the document's table has them."""
    rows = []
    for family in page.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = sorted(
            {label for sample in family.samples for label in sample.labels if label != "le"}
        )
        names = ", ".join(f"`{label}`" for label in labels)
        rows.append([f"`{name}`", family.type, names, family.documentation])
    return rows


def test_every_series_stands_in_the_table():
    """Name, type, labels and meaning are those of the code, in the order of the page."""
    assert tables_under(DOCUMENT)["Series"] == families(Page())


def test_buckets_are_as_documented():
    """The bounds stand on the page, so that a threshold can be one of them."""
    assert ", ".join(f"{bound:g}" for bound in BUCKETS) in DOCUMENT


def test_every_rule_uses_series_that_exist():
    """No alert waits for a series, or a value of `what`, that never comes."""
    known = {row[0].strip("`") for row in families(Page())}
    used = [
        name
        for rule in RULES["groups"][0]["rules"]
        for name in re.findall(r"canary_\w+", rule["expr"])
    ]

    assert {name.removesuffix("_bucket") for name in used} <= known
    assert len(used) > 6


def test_every_flag_is_documented(capsys):
    """The document names every flag of the command, and none that it has not."""
    with pytest.raises(SystemExit):
        cli.main(["canary", "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    lines = re.findall(r"^(?:.*trainbridge canary.*|\| `--.*)$", DOCUMENT, re.MULTILINE)

    assert set(re.findall(r"--[a-z-]+", "\n".join(lines))) == flags


def test_counts_are_there_from_the_start():
    """increase() misses the first step of a series that begins with it."""
    samples = {
        (sample.name, sample.labels.get("what"))
        for family in Page().registry.collect()
        for sample in family.samples
    }

    assert {
        (f"canary_{kind}_total", what) for kind in ("missing", "duplicate") for what in What
    } <= samples
    assert ("canary_late_total", "image") in samples
    assert ("canary_wrong_total", "prediction") in samples


def test_a_finding_is_counted_and_logged(caplog):
    """Once each, with everything that a search needs."""
    page = Page()
    page.report("canary-1", [Finding(Kind.MISSING, What.BATCH, 9, 7, 2)])

    assert page.registry.get_sample_value("canary_missing_total", {"what": "batch"}) == 2
    assert page.findings == 2
    (record,) = caplog.records
    assert (record.getMessage(), record.levelname) == ("missing", "ERROR")
    assert record.fields == {
        "what": "batch",
        "session": "canary-1",
        "expected": 9,
        "found": 7,
        "count": 2,
    }


def test_the_page_is_served():
    """In the text format, at a port that can be asked for."""
    with (
        serving(Page(), "127.0.0.1:0") as address,
        urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer,
    ):
        assert b"\ncanary_bridge_up 0.0\n" in answer.read()


def test_a_port_in_use_is_said_so():
    """With the flag to change."""
    with (
        serving(Page(), "127.0.0.1:0") as address,
        pytest.raises(SettingError, match="--listen"),
        serving(Page(), address),
    ):
        pass
