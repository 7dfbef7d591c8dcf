"""Two bridges with one store, a Prometheus that scrapes both, and boards that are looked at after a training."""

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from support.board_runs import Runs, trained
from support.boards import BOARDS, Json, panels
from support.bridges import RunningBridge, running_bridge
from support.grafana_panels import asked
from support.grafana_queries import DataSource, Window
from support.prometheus import SCRAPE_SECONDS, running_prometheus
from support.waiting import until_true

ONE_EACH = ("spike", "gpu", "pair", "moved", "again")
"""The sessions that a board of one session is looked at with."""

EVERY = ".+"

MINUTES_OF_ALERTS = "> 300"


@dataclass(frozen=True)
class Shown:
    """One panel with what it was answered."""

    board: str
    session: str
    panel: Json
    variables: dict[str, str]
    answers: list[Json]

    @property
    def where(self) -> str:
        """Which panel of which board this is."""
        return f"{self.board}: {self.panel['title']}"


@dataclass
class Scene:
    """What was trained, and what stands ready to be looked at."""

    first: RunningBridge
    second: RunningBridge
    runs: Runs
    source: DataSource

    @cached_property
    def shown(self) -> list[Shown]:
        """Every panel of every board with its answers; those of one session for several of them."""
        return [
            each
            for name in BOARDS
            for session in sessions_for(name)
            for each in self._look(name, session)
        ]

    @cached_property
    def drawn(self) -> list[Json]:
        """What Grafana's own code makes of each of those."""
        times = self.source.window.values
        window = {"from": int(times["__from"]), "to": int(times["__to"])}
        return asked(
            {
                "what": "panel",
                "panel": each.panel,
                "answers": each.answers,
                "variables": each.variables,
                "range": window,
                "intervalMs": int(times["__interval_ms"]),
            }
            for each in self.shown
        )

    def panel(self, board: str, title: str, session: str = EVERY) -> tuple[Shown, Json]:
        """Return one panel: with its answers, and as it is drawn."""
        [found] = [
            (each, drawn)
            for each, drawn in zip(self.shown, self.drawn, strict=True)
            if (each.board, each.panel["title"], each.session) == (board, title, session)
        ]
        return found

    def bridge_of(self, address: str) -> RunningBridge:
        """Return the bridge of a link."""
        [bridge] = [
            one for one in (self.first, self.second) if address.startswith(f"http://{one.http}/")
        ]
        return bridge

    def other_than(self, bridge: RunningBridge) -> RunningBridge:
        """Return the bridge that the link does not lead to."""
        return self.second if bridge is self.first else self.first

    def _look(self, name: str, session: str) -> list[Shown]:
        variables = self.source.chosen(name, {"session": session})
        return [
            Shown(name, session, panel, variables, self._answers(panel, variables))
            for panel in panels(BOARDS[name])
            if any("expr" in target for target in panel.get("targets", ()))
        ]

    def _answers(self, panel: Json, variables: dict[str, str]) -> list[Json]:
        return [
            self.source.answer(self._sooner(target), variables)
            for target in panel["targets"]
            if "expr" in target
        ]

    def _sooner(self, target: Json) -> Json:
        """Return a query for which a loop counts as hung after seconds instead of minutes."""
        idle = (self.source.window.until - self.runs.hung_at) * 0.7
        return target | {"expr": target["expr"].replace(MINUTES_OF_ALERTS, f"> {idle:.0f}")}


def sessions_for(name: str) -> tuple[str, ...]:
    """Return what is chosen as the session of a board, one after the other."""
    [*found] = [one for one in BOARDS[name]["templating"]["list"] if one["name"] == "session"]
    return ONE_EACH if found and not found[0]["multi"] else (EVERY,)


@contextmanager
def scene(folder: Path):
    """Train everything, and look at it as soon as Prometheus has seen the end of it."""
    (folder / "prometheus").mkdir()
    flags = ("--images-store", (folder / "store").as_uri(), "--heartbeat-seconds", "2")
    with ExitStack() as stack:
        first = stack.enter_context(running_bridge(folder / "first", *flags))
        second = stack.enter_context(running_bridge(folder / "second", *flags))
        targets = [first.http, second.http]
        prometheus = stack.enter_context(running_prometheus(folder / "prometheus", targets))
        began = time.time()
        runs = stack.enter_context(trained(first, second))
        ended = time.time()
        until_true(lambda: has_scraped(prometheus, ended), what="Prometheus has scraped the end")
        window = Window(began, time.time(), scrape=SCRAPE_SECONDS)
        yield Scene(first, second, runs, DataSource(prometheus.url, window))


def has_scraped(prometheus, ended: float) -> bool:
    """Return whether each bridge was scraped after a time."""
    samples = prometheus.query(f"timestamp(bridge_build_info) > {ended + SCRAPE_SECONDS}")
    return len(samples) == 2
