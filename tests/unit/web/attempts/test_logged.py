"""What the attempts of a run have logged by name, as one run."""

from support.pages import FakeArchive

from bridge.lifecycle import Connected
from bridge.model import Batch, Client, Config, Level, Occurrence, Scalars
from bridge.scalar_history import POINTS_LIMIT
from bridge.session import Session
from bridge.web.attempts.catalog import AttemptCatalog, since_the_first, view_of_all
from bridge.web.session_view import session_view

VALIDATION = ("loss", "validation")


def language_model(attempt, first, last, *, value=1.0, every=10):
    """Return an attempt of a run that is counted by steps, a step a second, and validates now and then."""
    config = Config(total_epochs=1, batches_per_epoch=1000)
    began = 10_000.0 * attempt
    session = Session("lm", Client("tests", "1"), config, now=began, attempt=attempt)
    session.apply(Connected(), began)
    for step in range(first, last):
        now = began + step - first + 1
        session.apply(Batch(0, step, value, step=step, tokens=8), now)
        if step % every == every - 1:
            session.apply(Scalars(0, step, {"loss": value}, step, "validation"), now)
            session.apply(Occurrence("sample", "", Level.INFO, {}, 0, step, step), now)
    return session


def whole(*sessions):
    """Return what pages show of a run whose last attempt is in memory."""
    *former, newest = sessions
    view = session_view(newest, newest.updated_at)
    attempts = AttemptCatalog(FakeArchive(former=former)).all_of(view)
    return since_the_first(view_of_all(view, attempts), attempts)


def curve_of(view, key=VALIDATION):
    """Return the steps of a curve, each with the value logged there."""
    return [(point.step, point.mean) for point in view.scalar_curves[key].points]


def test_curves_are_of_all_attempts():
    """A preempted run keeps its validation losses; where a later attempt has been again, its own count."""
    view = whole(
        language_model(1, 0, 35, value=3.0),
        language_model(2, 30, 55, value=2.0),
        language_model(3, 40, 60, value=1.0),
    )

    assert curve_of(view) == [(9, 3.0), (19, 3.0), (29, 3.0), (39, 2.0), (49, 1.0), (59, 1.0)]


def test_what_was_logged_beyond_the_resumed_step_no_longer_counts():
    """An attempt that was rolled back further has taken back its numbers as well as its losses."""
    view = whole(language_model(1, 0, 100, value=3.0), language_model(2, 50, 55, value=2.0))

    assert [step for step, _ in curve_of(view)] == [9, 19, 29, 39, 49]


def test_the_newest_value_is_that_of_the_run():
    """An attempt that has not validated yet does not hide what the one before it has found."""
    view = whole(language_model(1, 0, 35, value=3.0), language_model(2, 30, 35, value=2.0))

    assert view.scalars_by_split == {"validation": {"loss": 3.0}}


def test_a_loop_without_steps_is_counted_on():
    """Its numbers stand behind those of the attempts before it, and not among them."""
    sessions = []
    for attempt in (1, 2):
        session = Session("gan", Client("tests", "1"), Config(), now=attempt * 1e4, attempt=attempt)
        for batch in range(10):
            session.apply(Batch(0, batch, 1.0), attempt * 1e4 + batch)
        session.apply(Scalars(0, 9, {"fid": float(attempt)}), attempt * 1e4 + 9)
        sessions.append(session)

    assert curve_of(whole(*sessions), ("fid", "")) == [(10, 1.0), (20, 2.0)]


def test_events_are_of_all_attempts():
    """In the order in which they came; their number too."""
    view = whole(language_model(1, 0, 35), language_model(2, 30, 55))

    steps = [happened.occurrence.step for happened in view.occurrences]
    assert steps == [9, 19, 29, 39, 49]
    assert view.occurrences_total == 5


def test_a_run_has_done_what_its_attempts_have_done():
    """Batches and tokens that were done again were done."""
    view = whole(language_model(1, 0, 35), language_model(2, 30, 55))

    assert (view.batches, view.tokens, view.registered_at) == (60, 480, 10_000.0)


def test_all_attempts_together_have_as_many_points_as_one():
    """However often a run comes back, its curves take no more room; the extremes stay."""
    numbers = [
        language_model(n, n * 250, (n + 1) * 250, every=1, value=float(n)) for n in range(1, 9)
    ]
    view = whole(*numbers)

    points = view.scalar_curves[VALIDATION].points
    assert len(points) <= POINTS_LIMIT
    assert (min(point.low for point in points), max(point.high for point in points)) == (1.0, 8.0)
    assert sum(point.finite for point in points) == 8 * 250
