"""A statement is built once, and says the same to each database."""

from sqlalchemy import bindparam, delete, update

from bridge.storage.schema import BATCHES, REBUILT, SHARDS
from bridge.storage.statements import Statement, upsert

MARK = Statement(
    update(SHARDS).where(SHARDS.c.shard_id == bindparam("shard_id")).values(stored=1, closed=1)
)


def test_a_statement_brings_its_own_constants():
    """Whoever runs it names the parameters alone."""
    for dialect in ("sqlite", "postgresql"):
        _, parameters = MARK.compiled(dialect, {"shard_id": 7})
        assert parameters == {"shard_id": 7, "stored": 1, "closed": 1}


def test_a_row_goes_by_position():
    """In the sequence in which the text has its parameters, with the constants among them, and nothing else."""
    text, take = MARK.by_position()
    assert text.count("?") == 3
    assert list(take({"shard_id": 7, "more": 8})) == [1, 1, 7]

    _, take = upsert(BATCHES).by_position()
    row = {
        "loss": 0.5,
        **{column.name: column.name for column in BATCHES.c if column.name != "loss"},
    }
    assert list(take(row)) == [row[column.name] for column in BATCHES.c]

    _, take = Statement(delete(REBUILT).where(REBUILT.c.place == bindparam("place"))).by_position()
    assert list(take({"place": "store"})) == ["store"]


def test_the_table_that_is_written_to_is_named():
    """What is refused is reported with it."""
    assert (MARK.table, upsert(BATCHES).table) == ("shards", "batches")
