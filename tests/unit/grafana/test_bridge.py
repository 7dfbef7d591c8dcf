"""The bridge board shows bridges, whatever else Prometheus scrapes."""

import re

import pytest

from grafana.boards.bridge import BRIDGE
from grafana.promql import OF_PROMETHEUS, OF_THE_PROCESS

OF_ALL_PROGRAMS = re.compile(rf"\b(?:{'|'.join((*OF_PROMETHEUS, *OF_THE_PROCESS))})\b{{")

QUERIES = [target["expr"] for panel in BRIDGE["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("query", list(filter(OF_ALL_PROGRAMS.search, QUERIES)))
def test_series_that_other_programs_have_are_of_bridges_alone(query):
    """All jobs chosen would be all jobs of Prometheus, and a node that is down would be a bridge."""
    assert "and on (job, instance) last_over_time(bridge_build_info" in query


def test_the_first_row_says_whether_bridges_are_well():
    """Numbers first, without a scroll."""
    kinds = [panel["type"] for panel in BRIDGE["panels"][:8]]

    assert kinds == ["stat"] * 8
    assert sum(panel["gridPos"]["w"] for panel in BRIDGE["panels"][:8]) == 24
