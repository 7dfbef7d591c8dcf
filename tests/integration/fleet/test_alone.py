"""What a fleet is tried with holds for one bridge with a folder, too, which shows that the trial itself is sound."""

import pytest
from support.fleet.campaign import run_campaign
from support.fleet.faults import kills, moves
from support.fleet.fleet import running_alone
from support.fleet.verdict import Limits, table, violations

ALONE = Limits(seconds=60, gap_seconds=60)
"""While the only bridge is away nobody is served: how long a client waits after that is its own affair."""


@pytest.mark.timeout(240)
def test_one_bridge_is_killed(tmp_path):
    """Nothing acknowledged is lost or counted twice, on the pages and in Prometheus, behind a proxy that closes streams."""
    with running_alone(tmp_path) as fleet:
        campaign, lines = run_campaign(
            fleet,
            tmp_path,
            [kills(4, 0.2), moves(1.5)],
            seconds=9,
            ahead_seconds=3,
            sdk=2,
            original=2,
            limits=ALONE,
        )

    assert campaign.faults >= 5
    assert not violations(lines), table(lines)
