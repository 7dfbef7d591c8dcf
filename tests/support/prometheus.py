"""A real Prometheus, with the rules that are shipped, in seconds instead of minutes."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from support.monitoring import ready
from support.ports import free_port
from support.tools import ROOT, tool

RULE_FILE = ROOT / "deploy" / "prometheus" / "trainbridge.rules.yaml"

ABOUT_TRAININGS = ("trainbridge-training", "trainbridge-learning", "trainbridge-speed")

SHORTER = {"> 300": "> 6", "for: 1m": "for: 1s", "for: 5m": "for: 5s"}
"""The minutes that an alert about a training waits, and the seconds that a test waits instead."""

SCRAPE_SECONDS = 1


@dataclass(frozen=True)
class Prometheus:
    """One that scrapes bridges every second."""

    url: str

    def query(self, expression: str) -> list[dict]:
        """Return what an expression gives now; raises AssertionError if Prometheus refuses it."""
        words = urllib.parse.urlencode({"query": expression})
        return self._get(f"/api/v1/query?{words}")["data"]["result"]

    def alerts(self) -> list[dict]:
        """Return the alerts that fire."""
        alerts = self._get("/api/v1/alerts")["data"]["alerts"]
        return [alert for alert in alerts if alert["state"] == "firing"]

    def rules(self) -> list[dict]:
        """Return the groups of rules that it has."""
        return self._get("/api/v1/rules")["data"]["groups"]

    def _get(self, path: str) -> dict:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as response:  # noqa: S310
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from error


def shortened_rules() -> str:
    """Return the shipped rules about trainings with shorter times; all else stands as it is shipped."""
    rules = yaml.safe_load(RULE_FILE.read_text())
    text = yaml.safe_dump(
        {"groups": [g for g in rules["groups"] if g["name"] in ABOUT_TRAININGS]}, width=1000
    )
    for minutes, seconds in SHORTER.items():
        text, found = re.subn(rf"{re.escape(minutes)}(?!\w)", seconds, text)
        assert found, f"{minutes} does not stand in the rules any more"
    return text


@contextmanager
def running_prometheus(
    folder: Path, targets: Sequence[str], *, alertmanager: str = "", rules: Sequence[dict] = ()
):
    """Start one that scrapes these targets with the job `b`, and evaluates the shipped rules; it ends with the block.

    It sends alerts to an Alertmanager, given as host:port, and evaluates `rules` as well.
    """
    (folder / "rules.yaml").write_text(shortened_rules())
    (folder / "more.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "more", "rules": list(rules)}]})
    )
    configuration = {
        "global": {
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "evaluation_interval": f"{SCRAPE_SECONDS}s",
        },
        "rule_files": ["rules.yaml", "more.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        if alertmanager
        else {},
        "scrape_configs": [{"job_name": "b", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(tool("prometheus")),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    with ready(command, address, folder / "prometheus.log"):
        yield Prometheus(f"http://{address}")
