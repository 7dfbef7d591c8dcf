"""A session that reports nothing: where a drop-in is switched off, or cannot report."""

from typing import Any


class SilentSession:
    """Takes every call of a session, and does nothing."""

    session_id = ""
    attempt: int | None = None
    step: int | None = None
    should_stop = False

    def agree_to_stop(self, **_options: Any) -> bool:
        """Return that nobody has asked to stop."""
        return False

    def flush(self, _timeout: float | None = None) -> int:
        """Return that nothing is waiting."""
        return 0

    def close(self, _timeout: float | None = None) -> int:
        """Return that nothing was left."""
        return 0

    def __getattr__(self, name: str) -> Any:
        """Return a call that does nothing, for each that reports or controls."""
        if name.startswith("_"):
            raise AttributeError(name)
        return _do_nothing


def _do_nothing(*_arguments: Any, **_options: Any) -> None:
    """Take anything."""
