"""Group commit: listeners are notified only after the disk has it."""

import asyncio
import sqlite3
import threading
from contextlib import contextmanager
from functools import partial

import pytest
from support.fenced import FencedTransaction
from support.waiting import until

from bridge.committer import Committer
from bridge.errors import StorageError
from bridge.model import Client, Config, Scalars
from bridge.session import Session
from bridge.sinks.journal import Journal
from bridge.storage.journal import JournalRows
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry


class Notes:
    """A durable sink of texts, which fails as often as `failures` says."""

    def __init__(self) -> None:
        self.new: list[str] = []
        self.failures = 0
        self.writing = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.committed: list[str] = []

    def collect(self):
        if not self.new:
            return None
        taken, self.new = self.new, []
        return NotesWrite(self, taken)


class NotesWrite:
    """Texts for one commit."""

    def __init__(self, notes: Notes, texts: list[str]) -> None:
        self.notes, self.texts = notes, texts

    def write(self, transaction) -> None:
        self.notes.writing.set()
        self.notes.gate.wait(30)
        rows = [(text, "") for text in self.texts]
        transaction.executemany("INSERT INTO spans (span_id, span) VALUES (?, ?)", rows)
        if self.notes.failures:
            self.notes.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")

    def on_committed(self) -> None:
        self.notes.committed += self.texts


class Waiter:
    """Writes down what the database held when it was notified."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.tickets: list[tuple[int, list[str]]] = []

    def on_committed(self, ticket: int) -> None:
        rows = self.database.query("SELECT span_id FROM spans ORDER BY number")
        self.tickets.append((ticket, [row[0] for row in rows]))


@pytest.fixture
def database(tmp_path):
    """Return an open database."""
    database = SqliteDatabase(tmp_path / "bridge.db")
    yield database
    database.close()


async def test_listeners_are_notified_after_the_commit(database):
    """On notification, another connection already sees the row."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], database, Telemetry())

    async with committer.running():
        notes.new.append("one")
        ticket = committer.add_waiter(waiter, 10)
        await until(lambda: waiter.tickets)

    assert waiter.tickets == [(ticket, ["one"])]
    assert notes.committed == ["one"]


async def test_nobody_is_notified_while_the_disk_refuses(database):
    """A failed commit is tried again with the same rows, which are there once."""
    notes, waiter = Notes(), Waiter(database)
    notes.failures = 2
    committer = Committer([notes], database, Telemetry())

    async with committer.running():
        notes.new.append("one")
        committer.add_waiter(waiter, 10)
        await until(lambda: notes.failures == 0)
        await until(lambda: waiter.tickets)

    assert [rows for _, rows in waiter.tickets] == [["one"]]


async def test_what_was_added_is_committed_on_the_way_out(database):
    """Stopping loses nothing that was accepted."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], database, Telemetry())

    async with committer.running():
        await asyncio.sleep(0)
        notes.new.append("late")
        committer.add_waiter(waiter, 10)

    assert [rows for _, rows in waiter.tickets] == [["late"]]


async def test_a_disk_that_refuses_to_the_end_notifies_nobody(database):
    """Stopping does not hang on a broken disk, and acknowledges nothing falsely."""
    notes, waiter = Notes(), Waiter(database)
    notes.failures = 1_000_000
    committer = Committer([notes], database, Telemetry())

    async with committer.running():
        notes.new.append("lost")
        committer.add_waiter(waiter, 10)

    assert waiter.tickets == []
    assert notes.committed == []


async def test_a_notification_needs_no_write(database):
    """Updates that leave nothing to write are acknowledged all the same."""
    waiter = Waiter(database)
    committer = Committer([Notes()], database, Telemetry())

    async with committer.running():
        committer.add_waiter(waiter, 10)
        await until(lambda: waiter.tickets)

    assert len(waiter.tickets) == 1


async def test_a_fault_of_one_listener_costs_only_itself(database):
    """A stream that fails when notified does not keep the others from it."""

    class Broken:
        def on_committed(self, ticket) -> None:
            raise RuntimeError("broken stream")

    waiter = Waiter(database)
    committer = Committer([Notes()], database, Telemetry())

    async with committer.running():
        committer.add_waiter(Broken(), 10)
        committer.add_waiter(waiter, 10)
        await until(lambda: len(waiter.tickets) == 1)
        committer.add_waiter(waiter, 10)
        await until(lambda: len(waiter.tickets) == 2)


async def test_nobody_is_notified_while_a_part_hands_nothing_over(database):
    """What belongs together is written together, when all parts can."""

    class Broken:
        is_well = False
        asked = 0

        def collect(self):
            self.asked += 1
            if not self.is_well:
                raise RuntimeError("broken sink")

    notes, broken, waiter = Notes(), Broken(), Waiter(database)
    committer = Committer([notes, broken], database, Telemetry())

    async with committer.running():
        notes.new.append("one")
        committer.add_waiter(waiter, 10)
        await until(lambda: broken.asked > 3)
        assert not waiter.tickets
        assert database.query("SELECT * FROM spans") == []
        broken.is_well = True
        await until(lambda: waiter.tickets)

    assert [held for _, held in waiter.tickets] == [["one"]]


async def test_what_was_consumed_is_on_disk_when_a_commit_returns(database):
    """Whoever must not go on before the disk has it can wait for exactly that, idle or not."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], database, Telemetry())
    async with committer.running():
        notes.new.append("one")
        ticket = committer.add_waiter(waiter, 10, is_urgent=False)
        assert await committer.commit()

        assert waiter.tickets == [(ticket, ["one"])]
        assert await committer.commit(), "nothing to write, nothing that failed"


async def test_a_commit_that_fails_goes_to_disk_with_the_next_one(database):
    """A failure is answered at once, and what it held is neither lost nor written twice."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], database, Telemetry())
    notes.failures = 1
    notes.new.append("one")
    committer.add_waiter(waiter, 10)
    assert not await committer.commit()
    assert (waiter.tickets, notes.committed) == ([], [])
    notes.new.append("two")
    assert await committer.commit()

    assert [rows for _, rows in waiter.tickets] == [["one", "two"]]
    assert notes.committed == ["one", "two"]


async def test_a_caller_that_is_cancelled_costs_no_group(database):
    """What was on its way to the disk arrives, and whoever waits for it is notified."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], database, Telemetry())
    notes.gate.clear()
    notes.new.append("one")
    committer.add_waiter(waiter, 10)
    caller = asyncio.create_task(committer.commit())
    await until(notes.writing.is_set)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    notes.gate.set()

    assert await committer.commit()
    assert [rows for _, rows in waiter.tickets] == [["one"]]


async def test_a_stop_takes_a_failed_group_along(database):
    """The last commit is written whole or not at all."""
    notes, late = Notes(), Notes()
    committer = Committer([notes, late], database, Telemetry())
    async with committer.running():
        notes.failures = 2
        notes.new.append("one")
        committer.request_commit()
        await until(lambda: notes.failures < 2)
        late.new.append("last words")

    rows = database.query("SELECT span_id FROM spans ORDER BY number")
    assert [name for [name] in rows] == ["one", "last words"]
    assert (notes.committed, late.committed) == (["one"], ["last words"])


async def test_a_stop_on_a_broken_disk_writes_nothing_and_says_so(database):
    """Nobody may build on what the database does not tell of."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], database, Telemetry())
    async with committer.running():
        notes.failures = 1_000
        notes.new.append("one")
        committer.add_waiter(waiter, 10)
        await until(lambda: notes.failures < 1_000)
        assert not await committer.commit()

    assert not waiter.tickets
    assert database.query("SELECT * FROM spans") == []


def test_a_transaction_is_whole_or_not_at_all(database):
    """An exception inside takes everything back, and sqlite3's errors stay behind the door."""

    def write_half() -> None:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO spans (span_id, span) VALUES ('a', '')")
            transaction.execute("INSERT INTO nothing VALUES (1)")

    with pytest.raises(StorageError, match="refused a commit"):
        write_half()

    assert database.query("SELECT * FROM spans") == []


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, "\ud800", None, float("nan"), {}], ids=ascii)
async def test_a_row_that_cannot_be_written_costs_itself(database, value):
    """Whichever sink it came from and whatever is wrong with it, all others are committed and acknowledged.

    The row is counted by its table.
    """
    notes, others, waiter = Notes(), Notes(), Waiter(database)
    telemetry = Telemetry()
    committer = Committer([notes, others], database, telemetry)

    async with committer.running():
        notes.new += ["one", value, "two"]
        others.new.append("three")
        committer.add_waiter(waiter, 10)
        await until(lambda: waiter.tickets)
        assert committer.problem() == ""

    assert waiter.tickets[0][1] == ["one", "two", "three"]
    labels = {"what": "spans_row", "reason": "unwritable"}
    assert telemetry.registry.get_sample_value("bridge_dropped_total", labels) == 1


@pytest.mark.parametrize("number", [2**63, 2**63 - 1, 10**18, 2**64 - 1])
async def test_nobody_is_notified_without_the_row_that_holds_the_messages(
    database, monkeypatch, number
):
    """Where the journal's own row cannot be written no message is acknowledged, and in the end the bridge is not ready."""
    rows, notes, waiter = JournalRows(database), Notes(), Waiter(database)
    monkeypatch.setattr(rows, "last_number", lambda: number - 1)
    telemetry = Telemetry()
    journal = Journal(rows, (), telemetry)
    committer = Committer([notes, journal], database, telemetry)
    monkeypatch.setattr("bridge.committer.BEHIND_SECONDS", 0.0)

    async with committer.running():
        notes.new.append("one")
        journal.consume(Session("run", Client(), Config(), now=0.0), Scalars(0, 1, {"a": 1.0}), 1.0)
        committer.add_waiter(waiter, 10)
        failures = partial(telemetry.registry.get_sample_value, "bridge_commit_failures_total")
        await until(lambda: failures() >= 2)
        assert "nothing has been written to disk for" in committer.problem()

    assert waiter.tickets == []
    assert database.query("SELECT * FROM journal") == []


async def test_commits_that_fail_for_long_are_a_problem_until_one_succeeds(database, monkeypatch):
    """A bridge that acknowledges nothing any more says so; a short trouble is none."""
    notes = Notes()
    committer = Committer([notes], database, Telemetry())
    async with committer.running():
        assert committer.problem() == ""
        notes.failures = 1_000
        notes.new.append("one")
        committer.request_commit()
        await until(lambda: notes.failures < 999)
        assert committer.problem() == ""
        monkeypatch.setattr("bridge.committer.BEHIND_SECONDS", 0.0)
        assert "nothing has been written to disk for" in committer.problem()
        assert "full" not in committer.problem(), "what an exception says is for the log"
        notes.failures = 0
        await until(lambda: notes.committed)
        assert committer.problem() == ""


async def test_a_part_that_hands_nothing_over_for_long_is_a_problem(database, monkeypatch):
    """The same holds when a sink fails before anything reaches the disk."""

    class Broken:
        is_well = False

        def collect(self):
            if not self.is_well:
                raise RuntimeError("broken sink")

    broken, notes = Broken(), Notes()
    monkeypatch.setattr("bridge.committer.BEHIND_SECONDS", 0.0)
    committer = Committer([broken, notes], database, Telemetry())
    async with committer.running():
        await until(lambda: "nothing has been written" in committer.problem())
        broken.is_well = True
        notes.new.append("one")
        committer.request_commit()
        await until(lambda: committer.problem() == "")


async def test_a_commit_that_hangs_for_long_is_a_problem(database, monkeypatch):
    """A disk that neither accepts nor refuses is as bad as one that refuses."""
    notes = Notes()
    notes.gate.clear()
    monkeypatch.setattr("bridge.committer.BEHIND_SECONDS", 0.0)
    committer = Committer([notes], database, Telemetry())
    async with committer.running():
        notes.new.append("one")
        committer.request_commit()
        await until(lambda: "does not answer" in committer.problem())
        notes.gate.set()
        await until(lambda: committer.problem() == "")


async def test_a_database_that_is_gone_is_a_problem_at_once(database, tmp_path):
    """Nobody is acknowledged falsely, and it is said what to do; put back, it goes on."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], database, Telemetry())
    async with committer.running():
        (tmp_path / "bridge.db").rename(tmp_path / "away.db")
        notes.new.append("one")
        committer.add_waiter(waiter, 10)
        await until(lambda: "start the bridge again" in committer.problem())
        assert not waiter.tickets
        (tmp_path / "away.db").rename(tmp_path / "bridge.db")
        await until(lambda: waiter.tickets)
        assert committer.problem() == ""


class Doubtful:
    """A database whose commits may be made though they are said to fail, and whose bridge may lose sessions."""

    def __init__(self, database, *, answers) -> None:
        self.database = database
        self.answers = answers
        """By commit: whether it is made, and whether that is answered."""
        self.owned = None
        self.is_made = False

    @contextmanager
    def group(self, *, refused=None, arrived=()):
        is_made, is_answered = self.answers.pop(0) if self.answers else (True, True)
        self.is_made = is_made
        with self.database.transaction(refused=refused) as transaction:
            yield FencedTransaction(transaction, self.owned)
            if not is_made:
                raise StorageError("not made")
        if not is_answered:
            raise StorageError("no answer")

    def settle(self):
        if self.is_made is None:
            raise StorageError("nobody knows")
        return self.is_made


async def test_a_commit_that_was_made_without_an_answer_is_not_made_twice(database):
    """Whoever waits for it is notified, and what came meanwhile is written alone."""
    notes, waiter = Notes(), Waiter(database)
    doubtful = Doubtful(database, answers=[(True, False)])
    committer = Committer([notes], doubtful, Telemetry())

    async with committer.running():
        notes.new.append("one")
        ticket = committer.add_waiter(waiter, 10)
        await until(lambda: waiter.tickets)
        notes.new.append("two")
        await committer.committed()

    assert waiter.tickets[0] == (ticket, ["one"])
    assert notes.committed == ["one", "two"]
    assert database.query("SELECT span_id FROM spans ORDER BY number") == [("one",), ("two",)]
    assert not committer.is_full


async def test_a_commit_that_was_not_made_is_written_again(database):
    """With what came meanwhile, in order."""
    notes, waiter = Notes(), Waiter(database)
    committer = Committer([notes], Doubtful(database, answers=[(False, True)]), Telemetry())

    async with committer.running():
        notes.new.append("one")
        committer.add_waiter(waiter, 10)
        await until(lambda: waiter.tickets)

    assert notes.committed == ["one"]


async def test_nothing_is_written_before_it_is_known_what_became_of_the_last_commit(database):
    """A group that may be there already must not be there twice."""
    notes = Notes()
    doubtful = Doubtful(database, answers=[(None, False)])
    committer = Committer([notes], doubtful, Telemetry())
    notes.new.append("one")

    assert not await committer.commit()
    notes.new.append("two")
    assert not await committer.commit()
    doubtful.is_made = False
    assert await committer.commit()

    assert notes.committed == ["one", "two"]


async def test_sessions_that_were_lost_are_let_go_of_before_anybody_is_notified(database):
    """An Ack of a bridge that has been fenced would promise what another one does not have."""
    happened = []
    doubtful = Doubtful(database, answers=[])
    doubtful.owned = frozenset({"mine"})
    committer = Committer(
        [Notes()], doubtful, Telemetry(), on_fenced=lambda fenced: happened.append(fenced.owned)
    )

    class Late:
        """Notes when it is notified."""

        def on_committed(self, _ticket):
            happened.append("notified")

    committer._durables[0].new.append("one")
    committer.add_waiter(Late(), 10)
    assert await committer.commit()

    assert happened == [{"mine"}, "notified"]
