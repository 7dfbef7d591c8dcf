"""A real Alertmanager, with the configuration that is shipped, in seconds instead of minutes."""

import json
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from support.monitoring import ready
from support.ports import free_port
from support.tools import ROOT, tool

CONFIGURATION = ROOT / "deploy" / "prometheus" / "alertmanager.yaml"

GROUP_INTERVAL, REPEAT_INTERVAL = "1s", "2s"
"""How soon a group is looked at again, and a notification of it repeated."""


@dataclass(frozen=True)
class Alertmanager:
    """One that posts alerts about sessions to bridges."""

    address: str

    def alerts(self) -> list[dict]:
        """Return the alerts that it holds."""
        with urllib.request.urlopen(f"http://{self.address}/api/v2/alerts", timeout=60) as response:
            return json.load(response)


def configuration(bridges: Sequence[str]) -> dict:
    """Return the shipped configuration with these bridges, host:port each, and shorter times."""
    shipped = yaml.safe_load(CONFIGURATION.read_text())
    for route in (shipped["route"], *shipped["route"]["routes"]):
        route |= {
            "group_wait": "0s",
            "group_interval": GROUP_INTERVAL,
            "repeat_interval": REPEAT_INTERVAL,
        }
    [bridge] = [one for one in shipped["receivers"] if one["name"] == "bridge"]
    [webhook] = bridge["webhook_configs"]
    path = webhook["url"].removeprefix("http://bridge:8080")
    bridge["webhook_configs"] = [{**webhook, "url": f"http://{one}{path}"} for one in bridges]
    return shipped


@contextmanager
def running_alertmanager(folder: Path, bridges: Sequence[str]):
    """Start one that posts to these bridges; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(configuration(bridges)))
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(tool("prometheus-alertmanager")),
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with ready(command, address, folder / "alertmanager.log"):
        yield Alertmanager(address)
