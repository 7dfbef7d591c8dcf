"""amtool, which comes with Alertmanager, accepts the configuration that we ship, and what it leaves for people to switch on."""

import re
import subprocess

import pytest
from support.tools import ROOT, tool

CONFIGURATION = ROOT / "deploy" / "prometheus" / "alertmanager.yaml"

COMMENTED = re.compile(r"^    # ", re.MULTILINE)
"""What begins a line of a receiver that nobody has switched on yet."""


def amtool(*words):
    """Run the program, and return how it ended; the test is skipped where it is missing."""
    return subprocess.run(
        [tool("amtool"), *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_amtool_accepts_the_configuration():
    """Alertmanager would start with it."""
    done = amtool("check-config", str(CONFIGURATION))

    assert done.returncode == 0, done
    assert "2 receivers" in done.stdout


def test_amtool_accepts_the_receivers_to_choose_from(tmp_path):
    """Each receiver for people that stands there as a comment works once the comment signs are gone."""
    before, name, after = CONFIGURATION.read_text().partition("- name: people")
    receivers, found = COMMENTED.subn("    ", after)
    chosen = tmp_path / "alertmanager.yaml"
    chosen.write_text(before + name + receivers)

    done = amtool("check-config", str(chosen))

    assert found > 15
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=TrainingDiverging", "session_id=run-1"], "bridge,people"),
        (["alertname=BridgeDown", "instance=a:8080"], "people"),
    ],
    ids=["training", "bridge"],
)
def test_alerts_reach_those_they_are_for(labels, receivers):
    """What is about a session goes to the bridge and to people, all else to people alone."""
    done = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", *labels)

    assert (done.returncode, done.stdout.strip()) == (0, receivers), done
