"""A killed bridge goes on where its last commit left it."""

import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journals import START, Life

from bridge.lifecycle import (
    AlertReceived,
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Expired,
    SentElsewhere,
)
from bridge.model import (
    Batch,
    CommandResult,
    Epoch,
    Level,
    Occurrence,
    Performance,
    Prediction,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.session_snapshot import snapshot_of
from bridge.sinks.journal import Archive
from bridge.storage.deletions import (
    Archived,
    Deletion,
    ImageScope,
    archived_before,
    put_deletion,
)
from bridge.storage.packed import packed, unsealed
from bridge.storage.sqlite.database import SqliteDatabase

numbers = st.floats(width=32)
epochs = st.integers(0, 3)
events = st.one_of(
    st.builds(Batch, epochs, st.integers(0, 9), numbers, sample_count=st.integers(0, 64)),
    st.builds(
        lambda epoch, pairs: Batch(
            epoch,
            0,
            0.5,
            (),
            0,
            tuple(Prediction(p, 0.5) for p, _ in pairs),
            tuple(truth for _, truth in pairs),
            0.1,
        ),
        epochs,
        st.lists(st.tuples(st.integers(-1, 40), st.integers(-1, 40)), min_size=1, max_size=4),
    ),
    st.builds(Epoch, epochs, numbers, numbers, st.none() | numbers),
    st.builds(Performance, numbers, numbers, numbers, numbers, numbers),
    st.builds(Scalars, epochs, st.integers(0, 9), st.dictionaries(st.sampled_from("ab"), numbers)),
    st.builds(
        Scalars,
        epochs,
        st.integers(0, 9),
        st.dictionaries(st.sampled_from(["loss", "learning_rate", "mfu"]), numbers),
        st.none() | st.integers(0, 2**64 - 1),
        st.sampled_from(["", "train", "validation"]),
    ),
    st.builds(Batch, epochs, st.integers(0, 9), numbers, step=st.integers(0, 9), tokens=epochs),
    st.builds(
        Occurrence,
        st.sampled_from(["lr drop", "sample"]),
        st.text(max_size=4),
        st.sampled_from(Level),
        st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
        epochs,
        st.integers(0, 9),
        st.none() | st.integers(0, 2**64 - 1),
    ),
    st.builds(StatusChange, st.sampled_from([Status.RUNNING, Status.PAUSED])),
    st.just(Connected()),
    st.just(Disconnected()),
    st.just(CommandSent("c", CommandType.PAUSE_TRAINING, {})),
    st.just(CommandAnswered(CommandType.PAUSE_TRAINING, CommandResult("c", True, "", 0, 0))),
    st.builds(AlertReceived, st.sampled_from("fg"), st.just("Diverging"), numbers, numbers),
    st.just(Ended(Stage.LOST)),
)
steps = st.one_of(
    st.tuples(st.just("event"), st.sampled_from("ab"), events),
    st.tuples(st.just("commit"), st.floats(0, 20), st.none()),
    st.tuples(st.just("kill"), st.none(), st.none()),
    st.tuples(st.just("register"), st.sampled_from("ab"), st.none()),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, max_size=40))
def test_what_is_committed_is_known_again_to_the_last_detail(tmp_path, story):
    """Sessions, series and traces after a kill are those of the last commit, however it came about.

    So are the attempts that others have followed: each as it stood when the next one began.
    """
    path = tmp_path / f"{hash(str(story))}.db"
    path.unlink(missing_ok=True)
    database = SqliteDatabase(path, durable=False)
    life = Life(database)
    for name in "ab":
        life.register(name)
    life.commit()
    committed, former, former_committed = life.known(), {}, {}
    for sequence, (what, which, event) in enumerate(story, 1):
        if what == "event":
            session = life.sessions[which]
            session.accepted = sequence
            life.happen(session, event, at=START + sequence)
        elif what == "register":
            before = life.sessions[which]
            life.register(which, attempt=before.attempt + 1)
            former[which, before.attempt] = repr({**snapshot_of(before), "connected": False})
        elif what == "commit":
            life.now += which
            life.commit()
            committed, former_committed = life.known(), dict(former)
        else:
            life = Life(database)
            former = dict(former_committed)
            assert life.known() == committed
            assert life.former_attempts() == former
    life.commit()
    assert Life(database).known() == life.known()
    assert life.former_attempts() == former
    database.close()


def test_an_expired_session_is_not_restored(database):
    """Its series stay away after the kill, though the journal still holds it."""
    life = Life(database)
    session = life.register()
    life.commit()
    life.happen(session, Batch(0, 0, 0.5), Ended(Stage.ENDED))
    life.commit()
    life.happen(session, Expired())
    life.commit()
    database_rows = database.query("SELECT ended_ms FROM sessions")
    assert database_rows != [(0,)]

    again = Life(database)
    assert again.metrics.snapshot(session) is None or again.sessions["run"].stage is Stage.ENDED


def test_a_session_that_went_on_elsewhere_is_over_here_once_it_is_put_away(database):
    """It has no end of its own; the next start leaves it in the archive, and retention finds it there."""
    life = Life(database)
    session = life.register()
    life.happen(session, Connected(), Batch(0, 0, 0.5), SentElsewhere(), Disconnected())
    life.commit()
    life.happen(session, Expired())
    life.commit()

    assert Life(database, ended_after_ms=int(START * 2_000)).sessions == {}
    assert archived_before(database, int(START * 1000) + 1, 10) == [Archived("run", 1)]


def test_an_attempt_whose_successor_is_deleted_takes_none_of_its_records(database):
    """Records in the journal name no attempt: what is left of the deleted one goes nowhere."""
    life = Life(database)
    first = life.register()
    life.happen(first, Batch(0, 0, 0.5), Ended(Stage.LOST))
    second = life.register(attempt=2)
    life.commit()
    life.happen(second, Batch(7, 7, 0.5), Batch(7, 8, 0.5))
    life.commit()
    with database.transaction() as transaction:
        put_deletion(transaction, Deletion("run", ImageScope.NONE, 1, attempt=2))

    again = Life(database)
    kept = Archive(database).find("run")

    assert "run" not in again.sessions
    assert (kept.attempt, kept.batches, kept.stage) == (1, 1, Stage.LOST)


def test_damage_costs_what_is_damaged_and_no_more(database):
    """A group, a row, a session that cannot be read is counted and logged; the bridge starts with the rest."""
    life = Life(database)
    good, bad = life.register("good"), life.register("bad")
    life.commit()
    for number in range(4):
        life.happen(good, Batch(0, number, 0.5))
        life.happen(bad, Batch(0, number, 0.5))
        life.commit()
    with database.transaction() as transaction:
        transaction.execute("UPDATE sessions SET state = x'c1' WHERE session_id = 'bad'")
        numbers = [number for [number] in database.query("SELECT number FROM journal")]
        transaction.execute("UPDATE journal SET entries = x'93' WHERE number = ?", (numbers[0],))
        rows = packed((1, [("good", 1, START, 99), ("good", 2, START, 1, 0, 1, 0.5, None, 0)]))
        transaction.execute("UPDATE journal SET entries = ? WHERE number = ?", (rows, numbers[1]))

    again = Life(database)

    assert set(again.sessions) == {"good"}
    assert again.sessions["good"].batches == 3
    assert [again.dropped(what) for what in ("session", "group", "entry")] == [1, 1, 1]


def test_the_mark_comes_back(database):
    """What was committed is known to the sequence, so that nothing is sent twice or waited for in vain."""
    life = Life(database)
    session = life.register()
    life.commit()
    for sequence in range(1, 6):
        session.accepted = sequence
        life.happen(session, Batch(0, sequence, 0.5))
    life.commit()
    session.accepted = 6
    life.happen(session, Batch(0, 6, 0.5))

    again = Life(database).sessions["run"]

    assert (again.accepted, again.committed, again.batches) == (5, 5, 5)


def test_non_finite_losses_come_back(database):
    """The gauge shows what it showed."""
    life = Life(database)
    session = life.register()
    life.commit()
    life.happen(session, Batch(0, 0, math.nan))
    life.commit()

    assert Life(database).known() == life.known()


def test_parts_and_rows_of_wrong_shape_cost_only_themselves(database):
    """A field that another version does not know, a number where a text was: the bridge starts."""
    life = Life(database)
    good, bad = life.register("good"), life.register("bad")
    life.happen(good, Batch(0, 0, 0.5))
    life.happen(bad, Batch(0, 0, 0.5))
    life.commit()
    [[state]] = database.query("SELECT state FROM sessions WHERE session_id = 'bad'")
    parts = unsealed(state)
    parts["trace"]["no such field"] = 1
    parts["series"]["losses"] = 5
    rows = packed(
        (
            1,
            [
                ("good", 1, START, 1, 0, "one", "loss", None, 0),
                ("good", 2, START, 1, 0, 1, 0.5, None, 0),
            ],
        )
    )
    with database.transaction() as transaction:
        transaction.execute(
            "UPDATE sessions SET state = ? WHERE session_id = 'bad'", (packed(parts),)
        )
        transaction.execute("INSERT INTO journal (number, entries) VALUES (99, ?)", (rows,))

    again = Life(database)

    assert set(again.sessions) == {"good", "bad"}
    assert again.sessions["bad"].batches == 1
    assert again.metrics.snapshot(again.sessions["good"])["batches"] >= 2
    assert again.dropped("entry") >= 2


def test_what_the_bridge_observes_is_not_a_sign_of_life(database):
    """A session whose trainer is gone is lost in time, however often the bridge is restarted."""
    life = Life(database)
    session = life.register()
    life.happen(session, Batch(0, 0, 0.5), at=START + 1)
    life.commit()
    life.happen(session, Disconnected(), at=START + 500)
    life.commit()

    assert Life(database).sessions["run"].updated_at == START + 1
