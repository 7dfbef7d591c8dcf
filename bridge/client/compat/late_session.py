"""The session of a drop-in, made when the script first reports something, with the configuration it has by then."""

import atexit
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakMethod, WeakSet

from bridge.client.compat.silent_session import SilentSession
from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import Reason, error_text
from bridge.client.run_values import RunValues
from bridge.client.session import TrainingSession

log = logging.getLogger("trainbridge")

OPTIONS = frozenset(inspect.signature(TrainingSession).parameters)
"""What a session may be made with."""

_OPEN: "WeakSet[LateSession]" = WeakSet()
"""Those that have not ended: what waits in them is reported as the program ends."""

TURN_SECONDS = 1.0
"""How long an interpreter that ends waits for a thread that is inside of a call."""

MAX_DETAILS = 60
"""Values of one event; a bridge takes 64 with what the SDK adds."""


class NotSupportedError(Exception):
    """Why something has no place in what a bridge shows, and what to do instead."""


class LateSession:
    """Makes a session once, reports what a script says about itself, and closes what it has made.

    A bridge learns the configuration of a run as the run registers, and scripts of other trackers go on
    to configure theirs after they have begun: so it is made with the first call that reports.
    """

    def __init__(
        self, about: Mapping[str, Any], *, session: Any = None, is_silent: bool = False
    ) -> None:
        """Make it from the arguments of TrainingSession later, or use one that somebody else closes.

        Raises TypeError for an argument that a session does not have, and for any beside a session.
        """
        if session is not None and about:
            raise TypeError(
                f"{next(iter(about))!r} is given beside a session; give it where that is made"
            )
        unknown = sorted(set(about) - OPTIONS)
        if unknown:
            raise TypeError(
                f"unknown argument {unknown[0]!r}; give those of SummaryWriter, of wandb.init or of"
                " TrainingSession"
            )
        self.about = dict(about)
        self.config: dict[str, Any] = {}
        """What was said before the session was made."""
        self._session: Any = session or (SilentSession() if is_silent else None)
        self._is_lent = session is not None
        self._is_closed = False
        self._endings: list[WeakMethod[Callable[[], None]]] = []
        self._process = os.getpid()
        self._turn = threading.RLock()
        _OPEN.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: it has a copy of the session, which sends nothing and says so."""
        return {"about": {}, "config": {}, "_session": self.session, "_is_lent": True}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become a copy."""
        self.__init__({})  # type: ignore[misc]
        vars(self).update(state)

    @property
    def is_made(self) -> bool:
        """Whether the run has begun to report: what is configured now is an event."""
        return self._session is not None

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._is_closed

    @property
    def session(self) -> Any:
        """The session, which is made where there is none yet."""
        if self._session is None:
            with self.turn:
                if self._session is None:
                    self._session = self._make()
        return self._session

    @property
    def turn(self) -> threading.RLock:
        """Held during each call: writers of other trackers may be called by several threads, a session by one."""
        if self._process != os.getpid():  # forked, perhaps while another thread held it
            self._process, self._turn = os.getpid(), threading.RLock()
        return self._turn

    def before_end(self, ending: Callable[[], None]) -> None:
        """Call a method as the run ends, or as the program does; it keeps nothing alive."""
        self._endings.append(WeakMethod(ending))

    def end(self) -> None:
        """Report what waits, once."""
        _OPEN.discard(self)
        endings, self._endings = self._endings, []
        for ending in endings:
            call = ending()
            if call is not None:
                guarded(self, "ends", call)

    def configure(self, values: Mapping[str, Any]) -> None:
        """Add to the configuration; once the run has begun, an event shows what was added."""
        if not self.is_made:
            self.config.update(values)
        gate = getattr(self._session, "_gate", None)
        if gate is not None and values:
            self.report("config", RunValues(gate.account).read(dict(values)))

    def report(self, name: str, values: Mapping[str, Any]) -> None:
        """Report values by name as one event or several."""
        pairs = list(values.items())
        for start in range(0, len(pairs), MAX_DETAILS):
            chunk = {str(key): value for key, value in pairs[start : start + MAX_DETAILS]}
            clash = {"name", "message", "level", "self"} & set(chunk)
            self.session.event(
                name, **{f"{key}_" if key in clash else key: chunk[key] for key in chunk}
            )

    def leave_out(self, what: str, why: str) -> None:
        """Count something that a bridge has no place for; it is logged once, with the reason."""
        gate = getattr(self.session, "_gate", None)
        if gate is not None and gate.admits(what):
            gate.account.add(what, Reason.NOT_SUPPORTED, error=NotSupportedError(why))

    def record_fault(self, what: str, error: BaseException) -> None:
        """Count something that could not be read; raise it where the session is strict."""
        if self.about.get("strict"):
            raise error
        gate = getattr(self.session, "_gate", None)
        if gate is not None:
            gate.account.record(what, Reason.UNREADABLE, 1, error=error)

    def close(self, error: BaseException | None = None) -> None:
        """End what it has made, as failed where an exception says so; a session that was lent goes on."""
        if self._is_closed:
            return
        self.end()
        self._is_closed = True
        session = self.session
        if self._is_lent or isinstance(session, SilentSession):
            return
        if error is not None:
            session.__exit__(type(error), error, error.__traceback__)
        else:
            session.close()

    def _make(self) -> Any:
        given = self.about.get("config")
        about = self.about | {"config": _joined(given, self.config)}
        try:
            return TrainingSession(**about)
        except BaseException as error:
            let_through(error)
            if self.about.get("strict"):
                raise
            log.warning(
                "nothing of this run is reported, training goes on: %s; mend it and start again",
                error_text(error),
            )
            return SilentSession()


def guarded(late: LateSession, what: str, call: Callable[[], None]) -> None:
    """Run a call of a script; what it raises costs what was to be reported, never the loop."""
    try:
        with late.turn:
            call()
    except BaseException as error:  # noqa: BLE001 -- anything may be given
        let_through(error)
        late.record_fault(what, error)


def _joined(given: Any, said: dict[str, Any]) -> Any:
    if not said:
        return given
    if given is None:
        return said
    if isinstance(given, Mapping):
        return {**given, **said}
    return {"config": given, **said}


def _end_all() -> None:
    """Report what waits as the program ends: registered later than the session's own hook, it runs before that."""
    for late in tuple(_OPEN):
        if late.turn.acquire(timeout=TURN_SECONDS):
            try:
                late.end()
            finally:
                late.turn.release()


atexit.register(_end_all)
