"""Tests of the table of families."""

from dataclasses import fields
from itertools import pairwise

from bridge.families import BRIDGE_FAMILIES, Type
from bridge.sinks.metrics.families import LOSS_BUCKETS, TRAINING_FAMILIES
from bridge.sinks.metrics.series import SessionSeries
from bridge.telemetry import Telemetry


def test_the_bridge_part_is_what_telemetry_registers():
    """The registry has each family of the table, in the order of the page."""
    registered = [
        (
            metric._name + ("_total" if metric._type == "counter" else ""),
            metric._type,
            metric._documentation,
            metric._labelnames,
            tuple(getattr(metric, "_kwargs", {}).get("buckets", ())),
        )
        for metric in Telemetry().registry._collector_to_names
    ]

    declared = [(f.name, f.type, f.help, f.labels, f.buckets) for f in BRIDGE_FAMILIES]

    assert registered == declared


def test_a_session_has_a_place_for_each_of_its_families():
    """No family of the table is without series to read."""
    places = {field.name for field in fields(SessionSeries)} | set(dir(SessionSeries))

    assert {family.attribute for family in TRAINING_FAMILIES} <= places


def test_names_are_unique():
    """No two families share a name."""
    names = [family.name for family in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES)]

    assert len(names) == len(set(names))


def test_no_label_is_one_that_prometheus_owns():
    """Scraping never renames a label of ours to exported_*."""
    owned = {"job", "instance", "pod", "namespace"}

    assert not [f for f in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES) if owned & {*f.labels}]


def test_counters_end_in_total_and_nothing_else_does():
    """Names follow the practice of Prometheus."""
    for family in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES):
        assert family.name.endswith("_total") == (family.type is Type.COUNTER), family.name


def test_units_are_read_from_names():
    """A dashboard learns the unit of a family from the table."""
    units = {family.name: family.unit for family in TRAINING_FAMILIES}

    assert units["training_memory_used_bytes"] == "bytes"
    assert units["training_gpu_utilization_ratio"] == "ratio"
    assert units["training_frames_per_second"] == ""
    assert units["training_batches_total"] == ""


def test_a_loss_spike_leaves_its_bucket():
    """Ten times the usual loss never counts in the bucket of the usual one, from 0.001 to 1000."""
    assert LOSS_BUCKETS[0] == 0.001
    assert LOSS_BUCKETS[-1] == 1000.0
    assert all(b / a <= 2.5 for a, b in pairwise(LOSS_BUCKETS))
