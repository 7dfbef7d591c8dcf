"""The session of an integration: made where training begins, and closed where it ends."""

import functools
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import Reason, error_text
from bridge.client.phases import NoPhase, Phase
from bridge.client.session import TrainingSession

log = logging.getLogger("trainbridge")


class OwnedSession:
    """Makes one session for each run of a loop, unless it was given one, which it never closes.

    A copy, as in a process that a framework has spawned, makes one of its own.
    """

    def __init__(self, session: TrainingSession | None, options: Mapping[str, Any]) -> None:
        """Make nothing yet; `options` are the keyword arguments of a session, where none is given.

        Raises ValueError where both are given.
        """
        if session is not None and options:
            raise ValueError(
                f"give either session or what makes one ({', '.join(sorted(options))}), not both"
            )
        self._given = session
        self._options = dict(options)
        self.session = session
        """None before training begins, and after it has ended."""
        self._phase: Phase | NoPhase | None = None

    def begin(self, **known: Any) -> TrainingSession:
        """Return the session of the run that begins; `known` is what the framework knows about it.

        What the options say counts before that. Raises as TrainingSession does, for options that cannot be used.
        """
        if self.session is None:
            given = {name: value for name, value in known.items() if value is not None}
            self.session = TrainingSession(**{**given, **self._options})
        return self.session

    def join(self, session: TrainingSession) -> TrainingSession:
        """Report to a session that somebody else has made, and closes."""
        self._given = self.session = session
        return session

    def close_by_what_is_raised(self) -> None:
        """End the run by the exception that is in flight, where a framework does not hand it over."""
        self.end(sys.exception())

    def leave_out_images(self, error: BaseException) -> None:
        """Count images that could not be taken out of a batch; raises ValueError in strict mode."""
        leave_out(self.session, "images", error)

    def begin_validation(self) -> None:
        """Note that the loop validates, until `end_validation`; without a session there is nobody to report it to."""
        self.begin_phase("validation")

    def end_validation(self) -> None:
        """Note that the loop trains again, if it has validated."""
        self.end_phase()

    def begin_phase(self, name: str) -> None:
        """Note what the loop is busy with, until `end_phase`; the phase that has begun before goes on."""
        if self.session is not None and self._phase is None:
            self._phase = self.session.phase(name)
            self._phase.__enter__()

    def end_phase(self) -> None:
        """Note that the loop trains again, if it was busy with something else."""
        phase, self._phase = self._phase, None
        if phase is not None:
            phase.__exit__(None, None, None)

    def end(self, error: BaseException | None = None) -> None:
        """End the run: it has completed, or failed by `error`; a session that was given goes on."""
        self.end_phase()
        session = self.session
        if session is None or self._given is not None:
            return
        self.session = None
        session.__exit__(None if error is None else type(error), error, None)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: the options, and the session that was given."""
        return {**vars(self), "session": self._given, "_phase": None}


def reports_errors(
    train: Callable[..., Any], callbacks_of: Callable[..., Iterable[Any]], kind: type[Any]
) -> Callable[..., Any]:
    """Have callbacks of one kind end their run by the exception that ends `train`: some frameworks do not hand it over.

    `callbacks_of` takes what `train` was called with.
    """

    @functools.wraps(train)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return train(*args, **kwargs)
        except BaseException as error:
            _end_by(error, lambda: callbacks_of(*args, **kwargs), kind)
            raise

    return run


def _end_by(error: BaseException, callbacks: Callable[[], Iterable[Any]], kind: type[Any]) -> None:
    """Have callbacks of one kind end their run; whatever they raise, the exception goes on as it was."""
    try:
        for callback in callbacks():
            if isinstance(callback, kind):
                callback.end(error)
    except BaseException as fault:  # noqa: BLE001 -- a framework that is half made has no callbacks, say
        let_through(fault)
        leave_out(None, "the exception that ended training", fault)


def readable(**facts: Callable[[], Any]) -> dict[str, Any]:
    """Return what a framework says about a run, by name; a fact that raises costs itself alone, and is logged."""
    known = {}
    for name, read in facts.items():
        try:
            known[name] = read()
        except BaseException as error:  # noqa: BLE001 -- whatever a framework's objects raise
            let_through(error)
            leave_out(None, f"{name} of this run", error)
    return known


def guarded(hook: Callable[..., None]) -> Callable[..., None]:
    """Have a hook of a framework cost itself alone when it raises: counted, logged once, and training goes on.

    It is a method of something that has its session as `owned`.

    With `strict=True` it raises, as ValueError.
    """

    def run(self: Any, /, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 -- whatever a framework's objects raise
            let_through(error)
            leave_out(self.owned.session, hook.__name__.lstrip("_"), error)

    functools.update_wrapper(run, hook)
    return run


def leave_out(session: TrainingSession | None, what: str, error: BaseException) -> None:
    """Count what could not be reported; raises ValueError in strict mode."""
    if session is None:
        log.warning("%s is not reported, training goes on: %s", what, error_text(error))
        return
    session._gate.account.add(what, Reason.UNREADABLE, error=error)
