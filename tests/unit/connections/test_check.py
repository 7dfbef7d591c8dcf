"""One attempt to use a neighbour."""

import threading

import pytest

from bridge.connections import Connection, ConnectionCheck, blocking, check, check_all, probe_folder
from bridge.errors import StorageError


def connection(probe, name="otlp"):
    """Return a connection that is tried with `probe`."""
    return Connection(name, "http://host:4317", blocking(probe))


def failing(error):
    """Return a probe that raises."""

    def probe():
        raise error

    return probe


async def test_what_works_has_no_error():
    """A probe that returns is all that is needed."""
    result = await check(connection(lambda: None))

    assert result == ConnectionCheck("otlp", "http://host:4317", None)
    assert result.result == "ok"


async def test_what_is_wrong_is_the_sentence_of_the_probe():
    """Nothing is added to a sentence that names cause and way out."""
    result = await check(connection(failing(StorageError("no bucket x: create it"))))

    assert result.error == "no bucket x: create it"


async def test_an_unforeseen_error_is_a_result_too():
    """A fault of a probe is reported as one, and stops no other check."""
    broken, fine = await check_all(
        [connection(failing(KeyError("x"))), connection(lambda: None, "object_store")]
    )

    assert "KeyError" in broken.error
    assert "fault of trainbridge" in broken.error
    assert fine.error is None


async def test_each_result_is_known_at_once():
    """One connection that hangs keeps no other result back."""
    never, seen = threading.Event(), []
    hanging = Connection("object_store", "s3://b", blocking(never.wait))
    results = await check_all(
        [hanging, connection(lambda: None)], on_checked=seen.append, timeout_seconds=0.2
    )
    never.set()

    assert [one.name for one in results] == ["object_store", "otlp"]
    assert [one.name for one in seen] == ["otlp", "object_store"]


async def test_a_neighbour_that_hangs_is_given_up():
    """What never answers is a result after the timeout, though its thread goes on."""
    never = threading.Event()
    result = await check(connection(never.wait), timeout_seconds=0.05)
    never.set()

    assert result.error.startswith("no answer within 0.05 s: check the address")


def test_nothing_is_claimed_before_the_first_check():
    """A check that was not made is neither good nor bad."""
    pending = ConnectionCheck("otlp", "x", is_checked=False)

    assert pending.result == "not checked yet"
    assert pending.error is None


def test_a_folder_is_tried_where_it_will_be(tmp_path):
    """A missing folder is not created, and nothing is left behind."""
    probe_folder(tmp_path / "a" / "b", setting="state")

    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    """The path that is in the way is named, with the setting to change."""
    (tmp_path / "a").write_text("")

    with pytest.raises(StorageError, match=r"/a is not a folder: remove it, or set state to"):
        probe_folder(tmp_path / "a", setting="state")


def test_a_folder_that_takes_no_files_is_refused():
    """/proc is a folder in which nobody, not even root, creates files."""
    from pathlib import Path  # noqa: PLC0415

    with pytest.raises(StorageError, match=r"cannot be written to \(.+\): .+ or set state to"):
        probe_folder(Path("/proc"), setting="state")
