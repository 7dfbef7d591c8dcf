"""What Grafana asks Prometheus for a board: its variables, its panels, its annotations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from support.board_pictures.frames import Frame, legend_of, series_frame, table_frame
from support.board_pictures.variables import Choice, Scope, Window, matched
from support.prometheus_api import Ask, QuestionError, as_text

Json = dict[str, Any]

LABEL_VALUES = re.compile(r"label_values\((?:(?P<series>.*),\s*)?(?P<label>\w+)\)", re.DOTALL)
QUERY_RESULT = re.compile(r"query_result\((?P<query>.*)\)", re.DOTALL)


class Mark(NamedTuple):
    """An annotation."""

    at: float
    color: str
    text: str


class Exemplar(NamedTuple):
    """One measurement of a histogram, with what it leads to."""

    at: float
    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Questions:
    """A board's questions to one Prometheus."""

    ask: Ask
    scope: Scope

    @property
    def window(self) -> Window:
        """The time that the board shows."""
        return self.scope.window

    def with_variables(self, board: Json, chosen: Mapping[str, str]) -> "Questions":
        """Return the same with the board's variables asked for, one after the other; `chosen`: what is not to be the first."""
        asked = self
        for variable in board["templating"]["list"]:
            choice = asked._choice(variable, chosen.get(variable["name"]))
            choices = {**asked.scope.choices, variable["name"]: choice}
            asked = replace(asked, scope=replace(asked.scope, choices=choices))
        return asked

    def _choice(self, variable: Json, wanted: str | None) -> Choice:
        is_multi = bool(variable.get("multi") or variable.get("includeAll"))
        if wanted is not None:
            return Choice(tuple(wanted.split(",")), is_multi)
        if variable["type"] == "datasource":
            return Choice((variable["query"],))
        if variable["type"] != "query":
            current = variable.get("current", {}).get("value", variable.get("query", ""))
            return Choice(
                tuple(current) if isinstance(current, list) else (str(current),), is_multi
            )
        if variable.get("includeAll") and "$__all" in str(variable.get("current")):
            return Choice((variable.get("allValue") or ".*",), is_multi, is_everything=True)
        values = self.values_of(variable)
        return Choice(tuple(values[:1]), is_multi)

    def values_of(self, variable: Json) -> list[str]:
        """Return what a variable of type query offers."""
        query = variable["query"]
        text = self.scope.query(query["query"] if isinstance(query, dict) else query)
        values = matched(variable.get("regex", ""), self._texts(text))
        return (
            sorted(values, reverse=variable.get("sort") in (2, 6))
            if variable.get("sort")
            else values
        )

    def _texts(self, query: str) -> list[str]:
        if match := LABEL_VALUES.fullmatch(query.strip()):
            series = {"match[]": match["series"]} if match["series"] else {}
            return self.ask(f"label/{match['label']}/values", {**self._times(), **series})
        if match := QUERY_RESULT.fullmatch(query.strip()):
            answer = self.ask("query", {"query": match["query"], "time": f"{self.window.end}"})
            return [as_text(one) for one in answer["result"]]
        raise QuestionError(
            f"a variable asks for {query!r}, which is neither label_values nor query_result"
        )

    def _times(self) -> Json:
        return {"start": f"{self.window.start}", "end": f"{self.window.end}"}

    def chosen_of(self, board: Json, name: str) -> Sequence[str]:
        """Return each value that is chosen of a variable, also where that is all of them."""
        choice = self.scope.choices[name]
        if not choice.is_everything:
            return choice.values
        return self.values_of(
            next(one for one in board["templating"]["list"] if one["name"] == name)
        )

    def for_copy(self, panel: Json) -> "Questions":
        """Return the same with the value that a repeated panel stands for."""
        own = {
            name: Choice((value,), is_multi=True)
            for name, value in panel.get("scopedVars", {}).items()
        }
        return replace(self, scope=replace(self.scope, choices={**self.scope.choices, **own}))

    def for_panel(self, panel: Json, points: int) -> "Questions":
        """Return the same with the interval of a panel that is so many points wide."""
        interval = self.window.interval(panel.get("maxDataPoints") or points)
        return replace(self, scope=replace(self.scope, interval=interval))

    def frames(self, panel: Json) -> list[Frame]:
        """Return the answers to the queries of a panel."""
        targets = [t for t in panel.get("targets", []) if not t.get("hide") and t.get("expr")]
        answers = {target["refId"]: self._answer(target) for target in targets}
        found: list[Frame] = []
        for target in targets:
            ref, answer = target["refId"], answers[target["refId"]]
            if target.get("format") == "table":
                name = "Value" if len(targets) == 1 else f"Value #{ref}"
                found += [table_frame(ref, name, answer)] if answer else []
                continue
            names = {n for one in answers.values() for labels, _ in one for n in labels}
            for labels, points in answer:
                legend = legend_of(target.get("legendFormat", ""), labels, target["expr"], names)
                found.append(series_frame(ref, legend, labels, points))
        return found

    def _answer(self, target: Json) -> list[tuple[Mapping[str, str], list]]:
        query = self.scope.query(target["expr"])
        if target.get("instant"):
            data = self.ask("query", {"query": query, "time": f"{self.window.end}"})
        else:
            data = self.ask(
                "query_range",
                {"query": query, "step": f"{self.scope.interval:g}", **self._aligned()},
            )
        if data["resultType"] == "scalar":
            return [({}, [data["result"]])]
        return [(one["metric"], one.get("values") or [one["value"]]) for one in data["result"]]

    def _aligned(self) -> Json:
        """Return the times of a range as Grafana asks for them: multiples of the step."""
        step = int(self.scope.interval)
        return {"start": f"{self.window.start // step * step:.0f}", "end": f"{self.window.end:.0f}"}

    def exemplars(self, panel: Json) -> list[Exemplar]:
        """Return the exemplars of the first target that has any."""
        for target in panel.get("targets", []):
            if target.get("exemplar") and not target.get("instant"):
                answer = self.ask(
                    "query_exemplars", {"query": self.scope.query(target["expr"]), **self._times()}
                )
                return [
                    Exemplar(
                        one["timestamp"],
                        float(one["value"]),
                        {**series["seriesLabels"], **one["labels"]},
                    )
                    for series in answer
                    for one in series["exemplars"]
                ]
        return []

    def marks(self, board: Json) -> list[Mark]:
        """Return the annotations that are shown at first."""
        found: list[Mark] = []
        for one in board["annotations"]["list"]:
            if one.get("enable") and (one.get("target") or {}).get("expr"):
                found += self._marks_of(one)
        return sorted(found)

    def _marks_of(self, annotation: Json) -> list[Mark]:
        target = {**annotation["target"], "instant": False}
        found = set()
        for labels, points in self._answer(target):
            title = legend_of(
                annotation.get("titleFormat") or annotation["name"], labels, "", set()
            )
            previous = None
            for at, text in points:
                value = float(text)
                when = value / 1000 if annotation.get("useValueForTime") else float(at)
                is_new = (
                    annotation.get("useValueForTime")
                    or previous is None
                    or at - previous > self.scope.interval
                )
                if value and is_new and self.window.start <= when <= self.window.end:
                    found.add(Mark(when, annotation.get("iconColor", "blue"), title))
                previous = float(at) if value else previous
        return sorted(found)
