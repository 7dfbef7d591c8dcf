"""What can be done inside of a transaction, the same in both databases."""

from contextlib import suppress

import pytest

from bridge.storage.outbox import ADD
from bridge.storage.schema import SPANS
from bridge.storage.statements import Statement

NAMES = Statement(SPANS.select().with_only_columns(SPANS.c.span_id).order_by(SPANS.c.number))


def put(transaction, *names):
    """Write a row for each name."""
    for name in names:
        transaction.execute(ADD, {"span_id": name, "span": "{}", "session_id": ""})


def names(database):
    """Return the names of all rows."""
    return [name for [name] in database.query(NAMES)]


@pytest.mark.parametrize("leaves_out", [False, True])
def test_what_a_savepoint_undoes_leaves_the_rest(database, leaves_out):
    """Before, behind and beside it everything is committed, whether or not refused rows are left out."""
    refused = [] if leaves_out else None
    with database.transaction(refused=refused) as transaction:
        put(transaction, "before")
        with transaction.savepoint():
            put(transaction, "kept")
        with suppress(LookupError), transaction.savepoint():
            put(transaction, "undone")
            raise LookupError
        put(transaction, "behind")
        assert transaction.query(NAMES) == [("before",), ("kept",), ("behind",)]

    assert names(database) == ["before", "kept", "behind"]


def test_a_refused_row_inside_of_a_savepoint_costs_itself(database):
    """What else was done inside is kept, and can still be undone."""
    refused = []
    with database.transaction(refused=refused) as transaction:
        with transaction.savepoint():
            put(transaction, "one", "\ud800", "two")
        with suppress(LookupError), transaction.savepoint():
            put(transaction, "\ud800", "three")
            raise LookupError

    assert names(database) == ["one", "two"]
    assert [row.table for row in refused] == ["spans", "spans"]
