"""How long campaigns take, and what they have in common."""

import os
from dataclasses import replace

import pytest
from support.fleet.campaign import run_campaign
from support.fleet.fleet import running_fleet
from support.fleet.verdict import Limits, table, violations

SECONDS = float(os.environ.get("TRAINBRIDGE_CAMPAIGN_SECONDS", "0"))
"""Of faults in each campaign; 0: as short as each allows. 3600 is an hour for each."""


@pytest.fixture
def campaign(tmp_path):
    """Return what runs a campaign of some seconds, at least, and fails where something does not hold; it returns how many faults there were."""

    def run(*faults, seconds, bridges=3, standby=False, limits=None, **options):
        patient = replace(limits or Limits(), is_patient=True)
        with running_fleet(tmp_path, bridges, standby=standby) as fleet:
            done, lines = run_campaign(
                fleet, tmp_path, faults, seconds=max(seconds, SECONDS), limits=patient, **options
            )
        print(f"{done.faults} faults\n{table(lines)}")  # noqa: T201 -- shown with a failure, and with -s
        assert not violations(lines), table(lines)
        return done.faults

    return run


def pytest_collection_modifyitems(items):
    """A campaign may take as long as was asked for."""
    for item in items:
        if "campaign" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300 + 2 * SECONDS))
