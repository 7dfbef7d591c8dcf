"""What Grafana puts in the place of variables, in queries, links and texts."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from support.prometheus_api import selected

USED = re.compile(
    r"\$\{(?P<braced>\w+)(?P<path>[.\[][^}:]*)?(?::(?P<format>[^}]+))?\}|\$(?P<bare>\w+)|\[\[(?P<old>\w+)\]\]"
)

NICE_SECONDS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800)
"""What an interval between two points is rounded to."""


@dataclass(frozen=True)
class Choice:
    """What is chosen of a variable."""

    values: tuple[str, ...]
    is_multi: bool = False
    is_everything: bool = False
    """All are chosen, and a pattern of their own stands for them."""


@dataclass(frozen=True)
class Window:
    """The time that a board shows, and how often its data come."""

    start: float
    end: float
    scrape_seconds: float = 15

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    def interval(self, points: int) -> int:
        """Return the seconds between two points of a panel that has room for so many."""
        wanted = max(self.seconds / max(points, 1), self.scrape_seconds, 1)
        return next((nice for nice in NICE_SECONDS if nice >= wanted * 0.9), NICE_SECONDS[-1])

    def built_in(self, interval: float) -> Mapping[str, str]:
        """Return the variables that every board has, for a panel with that interval."""
        rate = max(interval + self.scrape_seconds, 4 * self.scrape_seconds)
        return {
            "__interval": f"{interval:g}s",
            "__interval_ms": f"{interval * 1000:.0f}",
            "__rate_interval": f"{rate:g}s",
            "__range": f"{self.seconds:.0f}s",
            "__range_s": f"{self.seconds:.0f}",
            "__range_ms": f"{self.seconds * 1000:.0f}",
            "__from": f"{self.start * 1000:.0f}",
            "__to": f"{self.end * 1000:.0f}",
            "__url_time_range": f"from={self.start * 1000:.0f}&to={self.end * 1000:.0f}",
        }


@dataclass(frozen=True)
class Scope:
    """The variables of a board, and those that are built in, for one panel."""

    window: Window
    choices: Mapping[str, Choice] = field(default_factory=dict)
    interval: float = 15

    def query(self, text: str) -> str:
        """Return a query of Prometheus with its variables filled in."""
        return self._filled(text, _for_prometheus)

    def text(self, text: str, macros: Mapping[str, str] | None = None) -> str:
        """Return a link or the content of a text panel; `macros`: what only this place has, such as __value.time."""
        return self._filled(text, _for_texts, macros or {})

    def _filled(
        self,
        text: str,
        written: Callable[[Choice], str],
        macros: Mapping[str, str] | None = None,
    ) -> str:
        built_in = self.window.built_in(self.interval)

        def put(match: re.Match[str]) -> str:
            name = match["braced"] or match["bare"] or match["old"]
            if macros and (found := macros.get(f"{name}{match['path'] or ''}")) is not None:
                return found
            if name in built_in:
                return built_in[name]
            if name not in self.choices:
                return match[0]
            choice = self.choices[name]
            return FORMATS[match["format"]](name, choice) if match["format"] else written(choice)

        return USED.sub(put, text)


def _for_prometheus(choice: Choice) -> str:
    if choice.is_everything or not choice.is_multi:
        return choice.values[0] if choice.values else ""
    escaped = [re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\\\1", value) for value in choice.values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _for_texts(choice: Choice) -> str:
    if len(choice.values) < 2:
        return "".join(choice.values)
    return f"{{{','.join(choice.values)}}}"


def _as_parameters(name: str, choice: Choice) -> str:
    values = ("$__all",) if choice.is_everything else choice.values
    return "&".join(f"var-{name}={quote(value, safe='')}" for value in values)


FORMATS: Mapping[str, Callable[[str, Choice], str]] = {
    "raw": lambda _, choice: ",".join(choice.values),
    "csv": lambda _, choice: ",".join(choice.values),
    "text": lambda _, choice: " + ".join(choice.values),
    "pipe": lambda _, choice: "|".join(choice.values),
    "regex": lambda _, choice: _for_prometheus(Choice(choice.values, is_multi=True)),
    "percentencode": lambda _, choice: quote(_for_texts(choice), safe=""),
    "queryparam": _as_parameters,
}


def matched(regex: str, texts: Sequence[str]) -> list[str]:
    """Return the values of a variable that its regex takes out of the answers of its query."""
    values = (selected(regex, text) for text in texts)
    return list(dict.fromkeys(value for value in values if value is not None))
