"""What to think of a command that has not been answered."""

from bridge.commands import Command, State
from bridge.web.formatting import duration
from bridge.web.session_view import SessionView

PATIENCE_SECONDS = 30.0
"""A loop that goes on for so long without looking for a command may not look for any."""

RUN_ENDED = "never answered: the run was over first"
UNDERWAY = "on its way to the bridge that has this session, which has not taken it yet"
NOT_CONNECTED = "waits until the training loop is connected again"
EXPIRED_UNSENT = "its time was over before the training loop was connected: it is not carried out"
EXPIRED_SENT = "its time was over without an answer: the loop had received it, and an answer that still comes is shown here"
NO_STEP = "waits for the loop's next step"
DOES_NOT_LOOK = (
    "this loop does not seem to look for commands: it has gone on for {} without an answer. Loops look where they"
    " check should_stop, call wait_while_paused, or have a callback for the command"
)


def note_of(command: Command, session: SessionView, *, is_underway: bool = False) -> str:
    """Return why a command has no answer yet; "" where there is one, or where one may come any moment.

    `is_underway`: the bridge that has the session has yet to take it from the database.
    """
    if command.state is State.EXPIRED:
        return EXPIRED_SENT if command.was_sent else EXPIRED_UNSENT
    if command.state not in (State.QUEUED, State.SENT):
        return ""
    if not session.is_live:
        return RUN_ENDED
    if is_underway or not session.connected:
        return UNDERWAY if is_underway else NOT_CONNECTED
    waited = session.now - command.queued_at
    if command.state is State.QUEUED or waited < PATIENCE_SECONDS:
        return ""
    ignored = session.stepped_at - command.queued_at
    return DOES_NOT_LOOK.format(duration(ignored)) if ignored >= PATIENCE_SECONDS else NO_STEP
