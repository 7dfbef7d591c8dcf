"""What a session's page lists of what has happened to it."""

from bridge.commands import Commands
from bridge.lifecycle import AlertReceived
from bridge.model import Client, CommandResult, Config, Status, StatusChange
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web.happenings import firing, happenings, pause_sender
from bridge.web.session_view import session_view


def session_with(*alerts):
    """Return a session about which these alerts were received, each at 1000."""
    session = Session("run", Client(), Config(), now=100.0)
    for alert in alerts:
        session.apply(alert, 1000.0)
    return session


def listed(session, commands=()):
    """Return the lines of the page, as (text, level, details)."""
    lines = happenings(session_view(session, 2000.0), commands)
    return [(line.text, line.level, line.details) for line in lines]


def alert(**values):
    """Return an alert that fires since 1000."""
    return AlertReceived("f1", "TrainingDiverging", 1000.0, **values)


def test_an_alert_that_fires_has_a_line():
    """It stands out from what is over."""
    assert listed(session_with(alert(summary="loss rises"))) == [
        ("alert TrainingDiverging fires: loss rises", "warning", "")
    ]


def test_one_line_says_all_of_an_alert():
    """What fired, for how long, what it sent, and where the loop took that."""
    commands = Commands()
    commands.submit("run", CommandType.PAUSE_TRAINING, {}, "alert-1")
    session = session_with(alert(command_id="alert-1"))
    assert listed(session, commands.of("run"))[0][2] == (
        "sent pause training, which has no answer yet"
    )

    commands.answer("run", CommandResult("alert-1", True, "", 1, 204))
    session.apply(alert(ends_at=1080.0), 1081.0)

    assert listed(session, commands.of("run")) == [
        (
            "alert TrainingDiverging fired",
            "info",
            "resolved after 1 min 20 s; sent pause training, applied at epoch 1, batch 204",
        )
    ]


def test_a_refused_command_says_why():
    """So does a command that has made room for others: nothing is said of it."""
    session = session_with(alert(refusal="alerts may not send stop here"))

    assert listed(session)[0][2] == "its command was refused: alerts may not send stop here"
    assert listed(session_with(alert(command_id="gone")))[0][2] == ""


def test_what_fires_stands_apart_from_what_is_over():
    """The page begins with it: the newest first."""
    over = AlertReceived("f2", "TrainingStalled", 900.0, ends_at=950.0)
    later = AlertReceived("f3", "TrainingStraggler", 1100.0)
    view = session_view(session_with(alert(summary="loss rises"), over, later), 2000.0)

    assert [line.text for line in firing(view)] == [
        "alert TrainingStraggler fires",
        "alert TrainingDiverging fires: loss rises",
    ]


def test_a_run_that_an_alert_has_paused_says_which_one():
    """The alert itself resolves meanwhile; a pause that was resumed, or sent by a person, says nothing."""
    commands = Commands()
    session = session_with()

    def paused_by(status=Status.PAUSED):
        session.apply(StatusChange(status), 1000.0)
        return pause_sender(session_view(session, 1001.0), commands.of("run"))

    def obey(type, command_id, source=""):
        commands.submit("run", type, {}, command_id, source)
        commands.answer("run", CommandResult(command_id, True, "", 1, 204))

    assert paused_by() == ""
    obey(CommandType.PAUSE_TRAINING, "a", "alert TrainingDiverging")
    assert paused_by() == "alert TrainingDiverging"
    assert paused_by(Status.RUNNING) == ""
    obey(CommandType.RESUME_TRAINING, "b")
    assert paused_by() == ""
    obey(CommandType.PAUSE_TRAINING, "c", "person at 10.0.0.7")
    assert paused_by() == ""
