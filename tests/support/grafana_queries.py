"""Asks Prometheus what a board asks, as Grafana does: variables first, then every query of every panel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from support.boards import BOARDS, OF_VARIABLES, Json, filled, is_of_prometheus
from support.prometheus_api import as_text, asking, selected


@dataclass(frozen=True)
class Window:
    """The time that a board shows, in seconds since 1970, and how far apart its points are."""

    since: float
    until: float
    step: int = 1
    scrape: int = 1

    @property
    def values(self) -> dict[str, str]:
        """What Grafana puts in the place of its own variables."""
        range_seconds = round(self.until - self.since)
        return {
            "__interval": f"{self.step}s",
            "__interval_ms": str(self.step * 1000),
            "__rate_interval": f"{max(self.step + self.scrape, 4 * self.scrape)}s",
            "__range": f"{range_seconds}s",
            "__range_s": str(range_seconds),
            "__range_ms": str(range_seconds * 1000),
            "__from": str(round(self.since * 1000)),
            "__to": str(round(self.until * 1000)),
        }


@dataclass(frozen=True)
class DataSource:
    """A Prometheus, and the time that is looked at."""

    url: str
    window: Window

    def answer(self, target: Json, values: Mapping[str, str]) -> Json:
        """Return what a target of a panel gets, as support.grafana_panels takes it."""
        query = filled(target["expr"], {**self.window.values, **values})
        result = self.instant(query) if target.get("instant") else self.range(query)
        return {
            "refId": target["refId"],
            "format": target.get("format", ""),
            "legend": target.get("legendFormat", ""),
            "result": result,
        }

    def instant(self, query: str) -> list[Json]:
        """Return what a query gives at the end of the window; one scalar counts as a sample without labels."""
        data = self._get("query", query=query, time=self.window.until)
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        return data["result"]

    def range(self, query: str) -> list[Json]:
        """Return the series that a query gives over the window."""
        step = self.window.step
        since, until = (round(at / step) * step for at in (self.window.since, self.window.until))
        return self._get("query_range", query=query, start=since, end=until, step=step)["result"]

    def exemplars(self, query: str) -> list[Json]:
        """Return the exemplars of the series of a query within the window."""
        return self._get(
            "query_exemplars", query=query, start=self.window.since, end=self.window.until
        )

    def options(self, variable: Json, values: Mapping[str, str]) -> list[str]:
        """Return the values that a variable offers."""
        asked = filled(variable["query"]["query"], {**self.window.values, **values})
        found = OF_VARIABLES.fullmatch(asked)
        if asked.startswith("label_values"):
            window = {"start": self.window.since, "end": self.window.until}
            match = {"match[]": found["query"]} if found["label"] else {}
            return self._get(f"label/{found['label'] or found['query']}/values", **match, **window)
        return [
            chosen
            for sample in self.instant(found["query"])
            if (chosen := selected(variable["regex"], as_text(sample))) is not None
        ]

    def chosen(self, name: str, picked: Mapping[str, str]) -> dict[str, str]:
        """Return the value of every variable of a board: what is picked, else all or the first that there is."""
        values: dict[str, str] = {"datasource": "prometheus"}
        for variable in BOARDS[name]["templating"]["list"]:
            if variable["name"] in picked:
                values[variable["name"]] = picked[variable["name"]]
            elif variable["type"] == "query" and is_of_prometheus(variable):
                values[variable["name"]] = first_choice(variable, self.options(variable, values))
            elif variable["type"] in ("custom", "interval", "constant", "textbox"):
                values[variable["name"]] = str(
                    variable.get("current", {}).get("value") or variable["query"].split(",")[0]
                )
        return values

    def _get(self, path: str, **parameters: Any) -> Any:
        return asking(self.url)(path, parameters)


def first_choice(variable: Json, options: list[str]) -> str:
    """Return what is chosen before anyone chooses: all, where that can be, else the first option."""
    if variable["includeAll"]:
        return variable.get("allValue") or f"({'|'.join(options)})"
    return (options or [""])[0]
