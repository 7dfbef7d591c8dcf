"""Questions about sessions that an assistant may ask; none of them changes anything."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from bridge.client.query import BridgeClient
from bridge.client.query_logged import ComparedPoint, Comparison
from bridge.client.query_types import LossBin, SessionDetails
from bridge.mcp.curves import summary_of, thinned
from bridge.mcp.plain import newest, number, plain, time_text

MOST_SESSIONS = 100
MOST_COMPARED = 8
MOST_POINTS = 240
MOST_EVENTS = 200
MOST_BATCHES = 50
MOST_ALERTS = 20

BOUNDS = {"epochs": 20, "attempts": 10, "notices": 10, "class_names": 100}
"""How many of the longer lists of a session are returned; the newest, but of classes the first."""

SessionId = Annotated[str, Field(description="The id of a session, as list_sessions returns it.")]
By = Literal["step", "time"]


class Reading:
    """Reads one bridge."""

    def __init__(self, client: BridgeClient) -> None:
        """Read through this client."""
        self._client = client

    def list_sessions(
        self,
        query: Annotated[
            str,
            Field(
                description="Words that must all occur in the name, model, dataset, client or labels (as name=value)."
            ),
        ] = "",
        status: Annotated[
            str,
            Field(
                description='A state: "running", "paused", "disconnected", "completed", "failed", "stopped",'
                ' "interrupted", "terminated", "lost" ...; or "live" (may still send) or "ended"; several with commas.'
            ),
        ] = "",
        model: Annotated[str, Field(description="The whole name of a model.")] = "",
        sort: Annotated[
            Literal["", "live", "newest", "oldest", "updated", "name", "model", "loss"],
            Field(description='Default "live": those that may still send first, then the newest.'),
        ] = "",
        limit: Annotated[int, Field(ge=1, le=MOST_SESSIONS)] = 20,
    ) -> dict[str, Any]:
        """List training sessions, without arguments those that run first. Start here.

        A session is one training run. `state` is one word for people. null means not reported, never 0.
        *_ratio is 0..1, *_seconds are seconds, *_at is UTC; `loss` is that of the last batch.
        `more` is true where others match: narrow the search, or raise the limit.
        """
        search = {"query": query, "status": status, "model": model, "sort": sort}
        found = self._client.sessions(**search, page_size=limit + 1)
        listed = list(itertools.islice(found, limit + 1))
        return {"sessions": plain(listed[:limit]), "more": len(listed) > limit}

    def show_session(self, session_id: SessionId) -> dict[str, Any]:
        """Return how one training run is doing: state, progress, phase, speed, GPUs, epochs, how attempts ended, alerts.

        `phase` is what the loop is busy with (training, validation, checkpoint, data ...) and phase_seconds how
        long it has been so in each; null for a run that is over. `goodput_ratio` is the share of all time that
        was training. An epoch's accuracies are as they were sent, usually 0..1. null means not reported. Alerts
        whose `until` is null still fire. `left_out` counts what was cut from long lists. Next: get_curve for how
        the loss went, session_events for what happened, worst_batches for what the model finds hard.
        """
        details = self._client.session(session_id)
        members: dict[str, Any] = plain(details)
        losses = members.pop("losses")
        left_out: dict[str, int] = {}
        for name, limit in BOUNDS.items():
            entries = members[name] or []
            left_out[name] = max(0, len(entries) - limit)
            if left_out[name]:
                members[name] = entries[:limit] if name == "class_names" else entries[-limit:]
        return members | {
            "alerts": self._alerts(session_id),
            "nonfinite_losses": sum(each["nonfinite"] for each in losses),
            "left_out": {name: count for name, count in left_out.items() if count},
        }

    def list_curves(self, session_id: SessionId) -> dict[str, Any]:
        """List the curves of a session, and return where the loss of its batches begins, ends and is extreme.

        get_curve returns the points of one of them. "loss" is the loss of every batch; epoch.* is what the loop
        reports at the end of an epoch; other names are numbers that it logs, with their split before them.
        """
        answer = self._compared([session_id], "loss", "step")
        return {"curves": plain(answer.curves), "loss": summary_of(_points(answer, session_id))}

    def get_curve(
        self,
        session_id: SessionId,
        curve: Annotated[str, Field(description="One of list_curves.")] = "loss",
        by: Annotated[
            By, Field(description='What x is: training steps, or "time": seconds since the start.')
        ] = "step",
        points: Annotated[
            int, Field(ge=2, le=MOST_POINTS, description="At most so many; neighbours are joined.")
        ] = 60,
    ) -> dict[str, Any]:
        """Return a curve of a session as points, each with the mean and the extremes of what it stands for.

        x counts training steps, or is the epoch for epoch.* curves (`by` of the answer says which). All attempts
        are one curve. "NaN" is a loss that was not finite.
        """
        answer = self._compared([session_id], curve, by)
        found = _points(answer, session_id)
        return {
            "curve": answer.curve.name,
            "by": answer.curve.by,
            "points": thinned(found, points),
            **summary_of(found),
        }

    def compare_sessions(
        self,
        session_ids: Annotated[list[str], Field(min_length=2, max_length=MOST_COMPARED)],
        curve: Annotated[str, Field(description="One that list_curves returns.")] = "loss",
        by: By = "step",
        points: Annotated[int, Field(ge=2, le=MOST_POINTS)] = 30,
    ) -> dict[str, Any]:
        """Compare up to 8 sessions: their results and best values, what differs in their configurations, one curve of each.

        `best` has the lowest losses and the highest accuracies. null means not reported. `unknown` names sessions
        that this bridge does not have.
        """
        answer = self._compared(session_ids, curve, by)
        return {
            "sessions": plain(answer.sessions),
            "unknown": plain(answer.unknown),
            "config_different": {row.name: plain(row.values) for row in answer.config.different},
            "config_equal": [row.name for row in answer.config.equal],
            "by": answer.curve.by,
            "curves": {
                line.session_id: thinned(line.points, points) for line in answer.curve.lines
            },
        }

    def session_events(
        self,
        session_id: SessionId,
        limit: Annotated[int, Field(ge=1, le=MOST_EVENTS)] = 50,
    ) -> dict[str, Any]:
        """Return what the training loop has reported to have happened, the oldest first: events and its own alerts.

        The bridge keeps the newest 200; `left_out` is how many of those are older than the ones returned. Each has a level (info, warning, error) and
        the epoch, batch and step at which it was.
        """
        events = self._client.events(session_id)
        shown = newest(events, limit)
        return {"events": shown, "left_out": len(events) - len(shown)}

    def session_commands(
        self,
        session_id: SessionId,
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
    ) -> dict[str, Any]:
        """Return the commands that were sent to a session, the oldest first, and what became of each.

        `state`: queued (at the bridge), sent (the loop has it and has not answered), applied or refused, with the
        loop's own words in `result`. `left_out` is how many older ones are not returned. `note` says why there is no answer. `sent_by` names who asked, null: not known.
        """
        commands = self._client.commands(session_id)
        shown = newest(commands, limit)
        return {"commands": shown, "left_out": len(commands) - len(shown)}

    def worst_batches(
        self,
        session_id: SessionId,
        limit: Annotated[int, Field(ge=1, le=MOST_BATCHES)] = 5,
    ) -> dict[str, Any]:
        """Return the batches with the highest losses, those that are not finite first.

        One batch for each stretch of the loss curve, so neighbours of a spike do not crowd out another spike.
        batch_images then shows what was in such a batch.
        """
        details = self._client.session(session_id)
        ranked = sorted(details.losses, key=_badness, reverse=True)
        return {
            "batches": [_worst(each) for each in ranked[:limit]],
            "typical_loss": _median_loss(details),
        }

    def _compared(self, session_ids: list[str], curve: str, by: str) -> Comparison:
        """Return the comparison of these sessions; of one by itself it is the way to all of its curves."""
        if not all(session_ids):
            raise ToolError("a session_id is empty; list_sessions returns the sessions there are")
        answer = self._client.compare(session_ids, curve=curve, by=by)
        if not answer.sessions:
            names = ", ".join(session_ids)
            raise ToolError(
                f"there is no session {names} at this bridge; list_sessions returns those there are"
            )
        return answer

    def _alerts(self, session_id: str) -> list[dict[str, Any]]:
        """Return the newest alerts of Alertmanager about a session."""
        found = self._client.annotations([session_id], kinds=["alert"])
        return [
            {
                "title": each.title,
                "text": plain(each.text),
                "since": time_text(each.time / 1000),
                "until": time_text(each.time_end / 1000) if each.time_end else None,
            }
            for each in itertools.islice(found, MOST_ALERTS)
        ]


def _points(answer: Comparison, session_id: str) -> Sequence[ComparedPoint]:
    """Return the points of a session in a comparison."""
    lines = answer.curve.lines
    return next((line.points for line in lines if line.session_id == session_id), ())


def _badness(each: LossBin) -> tuple[bool, float]:
    return each.nonfinite > 0, -math.inf if each.high is None else each.high


def _worst(each: LossBin) -> dict[str, Any]:
    return {
        "epoch": each.epoch,
        "batch": each.batch,
        "attempt": each.attempt,
        "loss": "NaN" if each.nonfinite else plain(each.high),
        "arrived_at": time_text(each.start),
    }


def _median_loss(details: SessionDetails) -> float | str | None:
    means = sorted(each.mean for each in details.losses if each.mean is not None)
    return number(means[len(means) // 2]) if means else None
