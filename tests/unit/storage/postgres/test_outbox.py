"""Spans of several bridges in one outbox: each is sent by one of them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from support.shared_database import opened

from bridge.storage import outbox as outboxes
from bridge.storage.outbox import SpanOutbox, WaitingSpan


class World:
    """Bridges "a" and "b" on one database, and an outbox of each."""

    def __init__(self, stack, url):
        self.databases = {name: stack.enter_context(opened(url, name)) for name in "ab"}
        self.a, self.b = (SpanOutbox(database, limit=200) for database in self.databases.values())

    def add(self, name, *spans, session_id="run"):
        """Commit spans as one bridge does with its group, and return how many were dropped for them."""
        outbox = {"a": self.a, "b": self.b}[name]
        with self.databases[name].group() as group:
            return outbox.add(group, [WaitingSpan(span, session_id, "{}") for span in spans])

    def lose(self, *names, kept=()):
        """Let somebody take sessions from the bridge "a"."""
        with self.databases["b"].transaction() as transaction:
            for name, owner in [*((one, "b") for one in names), *((one, "a") for one in kept)]:
                transaction.execute("INSERT INTO owners VALUES (%s, %s)", (name, owner))
            transaction.execute(
                "UPDATE bridges SET generation = generation + 1 WHERE bridge_id = 'a'"
            )

    def rows(self, columns="span_id"):
        """Return what waits, oldest first."""
        return self.databases["b"].query(f"SELECT {columns} FROM spans ORDER BY number")  # noqa: S608 -- of the test


@pytest.fixture
def world(postgres_url):
    """Two bridges."""
    with ExitStack() as stack:
        yield World(stack, postgres_url)


def numbers(rows):
    """Return the numbers of spans that were taken."""
    return {number for number, _ in rows}


def test_span_is_left_to_the_bridge_that_takes_it(world):
    """What one bridge sends no other one takes, and the same bridge takes it anew where it has failed."""
    world.add("a", "1", "2")

    taken = world.a.take_oldest(1)

    assert numbers(world.b.take_oldest(9)).isdisjoint(numbers(taken))
    assert world.b.take_oldest(9) != world.a.take_oldest(9) == taken


def test_bridges_that_take_at_the_same_time_take_different_spans(world):
    """Whoever takes waits for nobody, and every span is taken once."""
    for number in range(5):
        world.add("a", *(f"{number}-{one}" for one in range(20)))
    taken = []

    def take(outbox):
        for _ in range(5):
            rows = outbox.take_oldest(10)
            taken.extend(rows)
            outbox.remove(number for number, _ in rows)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(take, (world.a, world.b)))

    assert len(taken) == len(numbers(taken)) == 100
    assert world.rows() == []


def test_bridge_that_dies_lets_its_claims_run_out(world, monkeypatch):
    """Another bridge sends what a dead one had taken, once its time is over by the clock of the database."""
    monkeypatch.setattr(outboxes, "CLAIM_MS", -1000)
    world.add("a", "1")

    assert world.a.take_oldest(9) == world.b.take_oldest(9) != []


def test_span_that_could_not_be_delivered_is_let_go(world):
    """Another bridge may reach the endpoint; nobody lets go of what another bridge has taken."""
    world.add("a", "1", "2")
    [first, second] = world.a.take_oldest(9)
    world.b.release([first[0], second[0]])
    assert world.b.take_oldest(9) == []

    world.a.release([first[0]])

    assert world.b.take_oldest(9) == [first]


def test_spans_of_a_session_that_was_taken_are_left_out(world):
    """The bridge that has it now finishes them; the others are written with their sessions."""
    world.add("b", "0", session_id="other")
    world.lose("run", kept=("mine",))
    with world.databases["a"].group() as group:
        rows = [WaitingSpan("1", "run", "{}"), WaitingSpan("2", "mine", "{}")]
        world.a.add(group, rows)

    assert world.rows("span_id, session_id") == [("0", "other"), ("2", "mine")]


def test_limit_holds_for_all_bridges_together(world):
    """The oldest are dropped, whoever has added them, and counted by whoever dropped them."""
    world.add("b", *map(str, range(150)))

    assert world.add("a", *map(str, range(150, 250))) == 50
    assert [span for [span] in world.rows()] == list(map(str, range(50, 250)))


def test_bridges_that_fill_the_outbox_wait_for_nobody(world):
    """What another bridge has in its hands at the moment is dropped the next time."""
    world.add("b", *map(str, range(200)))
    with world.databases["b"].transaction() as transaction:
        transaction.execute("SELECT 1 FROM spans WHERE span_id = '0' FOR UPDATE")
        assert world.add("a", "200", "201") == 1

    assert world.add("a", "202") == 2


def test_span_that_is_added_twice_is_one(world):
    """A span has the same id whoever finishes it."""
    world.add("a", "1")
    world.add("b", "1")

    assert world.rows() == [("1",)]
