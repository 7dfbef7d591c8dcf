"""Warnings of the SDK on stderr, where the program has not said where its log goes."""

import logging
import sys

log = logging.getLogger("trainbridge")


class Console(logging.Handler):
    """Writes what a warning says behind whose it is; silent as soon as the program has handlers of its own.

    Python's own last resort would write the bare sentence, among those of all other libraries.
    """

    def __init__(self, logger: logging.Logger = log) -> None:
        """Stand in for the handlers that this logger and those above it do not have."""
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless another handler gets it, or Python's last resort was switched off."""
        if sys.stderr is None or logging.lastResort is None or self._has_others():
            return
        try:
            sys.stderr.write(f"trainbridge: {self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 -- a log must not raise, wherever stderr leads
            self.handleError(record)

    def _has_others(self) -> bool:
        logger: logging.Logger | None = self._logger
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False


def attach() -> None:
    """Have warnings of this process written so; once is enough."""
    if not any(isinstance(handler, Console) for handler in log.handlers):
        log.addHandler(Console())
