"""A session that reports nothing: where a drop-in is switched off, or cannot report."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from bridge.client.gate import Gate, Shut
from bridge.client.left_out import LeftOut
from bridge.client.stats import Stats
from bridge.client.tracking import Tracking


class SilentSession(Tracking):
    """Takes every call of a session: loops over loaders go round, phases are blocks, and nobody commands."""

    session_id = ""
    url: str | None = None
    attempt: int | None = None

    def __init__(self) -> None:
        """Shut the gate: no call is let in, counted or logged."""
        self._gate = Gate("", LeftOut())
        self._gate.shut(Shut.SWITCHED_OFF)
        self._resume_from = self._place = self._logged_epoch = None

    @property
    def should_stop(self) -> bool:
        """Whether training has been commanded to stop: never."""
        return False

    @property
    def step(self) -> int | None:
        """The step of the last log_batch: not known."""
        return None

    @property
    def stats(self) -> Stats:
        """What has been sent: nothing."""
        return Stats()

    def agree_to_stop(self, *, all_gather: Callable[[bytes], Any] | None = None) -> bool:
        """Return that nobody has commanded a stop."""
        return False

    def wait_while_paused(self) -> None:
        """Return at once."""

    def flush(self, timeout: float | None = None) -> int:
        """Return that nothing is waiting."""
        return 0

    def close(self, timeout: float | None = None) -> int:
        """Return that nothing was left."""
        return 0

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Do nothing."""

    def _admit(self, what: str) -> bool:
        return False

    def _has_to_stop(self, index: int, agree_every: int) -> bool:
        return False
