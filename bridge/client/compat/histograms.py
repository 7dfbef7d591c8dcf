"""Distributions of one run, as quantiles: curves of their own, of few tags."""

from collections.abc import Callable, Mapping

from bridge.client.compat.late_session import LateSession
from bridge.client.compat.tags import read_tag

TAGS = 3
"""Distributions of one run by default: seven curves each, of the 50 that a bridge shows of a session."""


class Histograms:
    """Reports quantiles as scalars: NAME/p50 and so on."""

    def __init__(self, late: LateSession, limit: int = TAGS) -> None:
        """Report the first `limit` tags of a run."""
        self._late = late
        self._limit = limit
        self._tags: set[str] = set()

    def report(
        self, tag: str, quantiles: Callable[[], Mapping[str, float]], step: int | None, split: str
    ) -> None:
        """Report what `quantiles` returns, which is not called for tags that are too many."""
        if tag not in self._tags and len(self._tags) >= self._limit:
            self._late.leave_out(
                "histograms",
                f"seven curves each, and a bridge shows 50 of a run, so only the first {self._limit} tags"
                " are taken; give histograms=N for more",
            )
            return
        self._tags.add(tag)
        name, of = read_tag(tag, split)
        values = {f"{name}/{quantile}": value for quantile, value in quantiles().items()}
        self._late.session.log_scalars(values, step=step, split=of)
