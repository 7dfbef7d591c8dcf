"""Which calls of the training loop a session takes, and what becomes of the others."""

import logging
from enum import Enum

from bridge.client.left_out import LeftOut, Reason

log = logging.getLogger("trainbridge")


class Shut(Enum):
    """Why a session takes no calls: the reason that is counted, and what is logged once."""

    CLOSED = (
        Reason.ENDED,
        (
            "session %s has ended, so this call and all later ones are not sent; log before close(), inside of"
            " the `with` block and before the program ends, or make a new session"
        ),
    )
    REPLACED = (
        Reason.ENDED,
        (
            "session %s has been replaced by a new one of the same name in this process, so this call and all"
            " later ones are not sent; log through the new one, or give each its own session_id"
        ),
    )
    FORKED = (
        Reason.COPY,
        (
            "this process was forked, and has only a copy of session %s, which sends nothing: neither this call"
            " nor later ones; log in the process that made the session, or make one in this process"
        ),
    )
    COPIED = (
        Reason.COPY,
        (
            "this is only a copy of session %s (by pickle or copy, or brought to another process), which sends"
            " nothing: neither this call nor later ones; log through the session that was constructed, or"
            " construct one here"
        ),
    )
    OTHER_RANK = (None, "")
    """Another process reports for all: nothing is lost, and nothing is said."""
    SWITCHED_OFF = (None, "switched off")
    """Nobody wants it reported."""


class Gate:
    """Lets the calls of the loop in, and counts, logs once and in strict mode raises those it cannot."""

    def __init__(self, session_id: str, account: LeftOut) -> None:
        """Wait for the first call; what is not let in is counted in `account`."""
        self.is_open = False
        """Whether the run has begun and not ended: the loop asks no more than this at each call."""
        self._session_id = session_id
        self.account = account
        self._shut: Shut | None = None
        self._is_logged = False

    @property
    def is_copy(self) -> bool:
        """Return whether the session is a copy of one that lives elsewhere."""
        return self._shut in (Shut.FORKED, Shut.COPIED)

    @property
    def is_of_other_rank(self) -> bool:
        """Return whether another process reports for this one, which trains with it."""
        return self._shut is Shut.OTHER_RANK

    def open(self) -> None:
        """Let calls in from now on, unless it is shut."""
        self.is_open = True
        if self._shut is not None:  # by another thread, or a signal handler, meanwhile
            self.is_open = False

    def shut(self, why: Shut) -> None:
        """Let nothing in from now on; takes no lock. The first reason stays, unless a fork follows it."""
        if self._shut is None or why is Shut.FORKED:
            self._shut = why
            self._is_logged = False
        self.is_open = False

    def admits(self, what: str) -> bool:
        """Return whether a call is let in; count it as `what` otherwise. Raises ValueError in strict mode."""
        shut = self._shut
        if shut is None:
            return True
        reason, sentence = shut.value
        if reason is None:
            return False
        self.account.record(what, reason, 1)
        if self.account.is_strict:
            raise ValueError(f"{what}: {sentence % self._session_id}")
        if not self._is_logged:
            self._is_logged = True
            log.warning(sentence, self._session_id)
        return False
