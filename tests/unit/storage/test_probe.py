"""A store is tried as the bridge uses it."""

import pytest

from bridge.errors import StorageError
from bridge.storage.local import LocalStore
from bridge.storage.probe import probe_store


def test_a_store_that_works_is_left_as_it_was(tmp_path):
    """The probe object is removed again."""
    store = LocalStore(tmp_path)
    probe_store(store)

    assert list(store.list()) == []


@pytest.mark.parametrize(("method", "result"), [("read", b"x"), ("list", ())])
def test_a_store_that_loses_things_is_refused(tmp_path, monkeypatch, method, result):
    """What was stored must be there to read in part and to list; the probe is removed all the same."""
    store = LocalStore(tmp_path)
    monkeypatch.setattr(store, method, lambda *_: result, raising=True)

    with pytest.raises(StorageError, match="it must support"):
        probe_store(store)
    monkeypatch.undo()
    assert list(store.list()) == []
