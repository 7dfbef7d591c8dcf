"""The key of a shard says whose it is."""

import pytest

from bridge.storage.objects import checked_key
from bridge.storage.shard_keys import ShardKey, last_attempts, parse_key, shard_key


def test_a_key_is_read_as_it_was_made():
    """Session, attempt and time come back; keys sort by time, whatever the attempt."""
    first = shard_key("run.7", 12, 1_700_000_000.5, bridge_id="a1b2c3d4", number=9)
    second = shard_key("run.7", 2, 1_700_000_001.5, bridge_id="a1b2c3d4", number=1)

    assert parse_key(checked_key(first)) == ShardKey("run.7", 12, 1_700_000_000_500)
    assert sorted([second, first]) == [first, second]


@pytest.mark.parametrize(
    ("key", "attempt"),
    [
        ("run/2023-11-14/1700000000000-abcd0123-000001.tar", None),
        ("run/2023-11-14/1700000000000-a1234567-000001.tar", None),
        ("run/2023-11-14/1700000000000-a7-a1234567-000001.tar", 7),
        ("run/2023-11-14/1700000000000-a0-a1234567-000001.tar", None),
        ("run/2023-11-14/1700000000000-a99999999999-a1234567-000001.tar", None),
    ],
)
def test_older_keys_name_no_attempt(key, attempt):
    """Also where the id of their bridge looks like one."""
    assert parse_key(key) == ShardKey("run", attempt, 1_700_000_000_000)


@pytest.mark.parametrize("key", ["run/notes.tar", "1700000000000-a1-b-000001.tar", "run/x/y.tar"])
def test_what_no_bridge_has_written_is_not_read(key):
    """A file that somebody has put there has no session and no time."""
    assert parse_key(key) is None


def test_the_last_attempt_of_each_session_is_in_its_keys():
    """What no bridge has written says nothing; a key without an attempt is of the first."""
    keys = [
        "run/2023-11-14/1700000000000-a7-a1234567-000001.tar",
        "run/2023-11-14/1700000000001-a12-a1234567-000002.tar",
        "run/2023-11-14/1700000000002-a3-a1234567-000003.tar",
        "old/2023-11-14/1700000000000-abcd0123-000001.tar",
        "notes.tar",
    ]

    assert last_attempts(keys) == {"run": 12, "old": 1}
    assert last_attempts([]) == {}
