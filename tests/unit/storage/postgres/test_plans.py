"""PostgreSQL finds what it is asked for by the index that is meant, also of a session that it has not counted yet."""

import psycopg
import pytest

from bridge.storage import index_queries as queries
from bridge.storage import shards
from bridge.storage.shards import Shard, ShardBatch, ShardImage, put_batches, put_shards

PARAMETERS = {
    "session_id": "new",
    "attempt": 1,
    "epoch": 1,
    "batch": 7,
    "limit": 20,
    "from_ms": 1_200,
    "to_ms": 1_210,
    "at_ms": 1_205,
    "received_ms": 0,
    "actual": 1,
    "predicted": 1,
    "key": "new",
}


def put(database, number, session_id):
    """Index 300 batches of a session with four images each."""
    images = tuple(ShardImage(place, 512 * place, 300, 1, 0.5, 1) for place in range(4))
    batches = [
        ShardBatch(number, session_id, 1, batch, 1_000 + batch, 0.5, images) for batch in range(300)
    ]
    with database.transaction() as transaction:
        put_shards(transaction, [Shard(number, session_id, session_id, 1)])
        put_batches(transaction, batches)


@pytest.fixture
def plan_of(database, postgres_url):
    """Return how a statement is run where a session has come since rows were counted last."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in ("images", "batches"):
            connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        put(database, 1, "known")
        connection.execute("ANALYZE")
        put(database, 2, "new")

        def plan(statement):
            text, parameters = statement.compiled("postgresql", PARAMETERS)
            return "\n".join(row for [row] in connection.execute(f"EXPLAIN {text}", parameters))

        yield plan


@pytest.mark.parametrize(
    ("statement", "index", "condition"),
    [
        (shards.DELETE_IMAGES, "images_pkey", "batch ="),
        (shards.FIND_SAME_OR_NEWER, "batches_", "batch ="),
        (queries.FIND_BATCH.of_all, "batches_", "batch ="),
        (queries.IMAGES_OF_BATCH.of_one, "images_pkey", "batch ="),
        (queries.OF_CELL.of_all, "images_by_class", "predicted_class ="),
        (queries.NEWEST.of_all, "batches_by_time", "received_ms >="),
        (queries.LAST_UNTIL.of_all, "batches_by_time", "received_ms <="),
        (queries.PAGE.of_all, "batches_by_place", "ROW(epoch, batch) >"),
        (queries.AFTER.of_all, "batches_by_place", "ROW(epoch, batch) >"),
        (queries.WORST.of_all, "batches_by_loss", "session_id ="),
    ],
)
def test_no_statement_walks_through_a_session(plan_of, statement, index, condition):
    """Its whole key leads to a batch, not the session alone; what is limited is not sorted first."""
    plan = plan_of(statement)

    assert index in plan
    assert "Seq Scan on batches" not in plan
    assert "Seq Scan on images" not in plan
    [found, *_] = [line for line in plan.splitlines() if "Index Cond:" in line]
    assert condition in found, plan
