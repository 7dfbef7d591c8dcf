"""The local folder keeps objects as well as a bucket does."""

import os
import shutil

import pytest

from bridge.errors import NotFoundError, StorageError
from bridge.storage.local import LocalStore

KEY = "a..b/2023-11-14/1700000000000-abcd0123-000001.tar"


@pytest.fixture
def file(tmp_path):
    """Return a file to put."""
    file = tmp_path / "spooled"
    file.write_bytes(b"0123456789")
    return file


@pytest.fixture
def store(tmp_path):
    """Return an empty store."""
    return LocalStore(tmp_path / "images")


def test_what_is_put_can_be_read_and_listed(store, file):
    """Any part of an object comes back, after the file it came from is gone."""
    store.put(KEY, file, {"images": "1"})
    file.unlink()

    assert store.read(KEY, 2, 3) == b"234"
    assert [(found.key, found.size_bytes) for found in store.list()] == [(KEY, 10)]
    assert [found.key for found in store.list("a..b/")] == [KEY]
    assert list(store.list("c")) == []


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(store, file, monkeypatch):
    """A network file system that went away is an outage; folders of others inside, such as lost+found, are not."""
    store.put(KEY, file, {})
    scandir, refused = os.scandir, []

    def failing(path):
        if str(path) in refused:
            raise OSError(116, "Stale file handle", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    refused.append(str(store._folder / "a..b"))
    assert list(store.list()) == []
    with pytest.raises(StorageError, match="Stale file handle"):
        list(store.list("a..b/"))
    assert list(store.list("never-made/")) == []


def test_the_same_key_again_overwrites(store, file, tmp_path):
    """A retry of an upload, with the same file or another, leaves one whole object."""
    store.put(KEY, file, {})
    store.put(KEY, file, {})
    other = tmp_path / "other"
    other.write_bytes(b"new")
    store.put(KEY, other, {})

    assert store.read(KEY, 0, 9) == b"new"
    assert len(list(store.list())) == 1
    assert [path.name for path in (tmp_path / "images" / KEY).parent.iterdir()] == [
        KEY.rpartition("/")[2]
    ]


def test_another_file_system_gets_a_copy(store, file, monkeypatch):
    """A store that no link reaches holds the bytes all the same."""

    def refuse(*_arguments):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)

    store.put(KEY, file, {})
    file.write_bytes(b"changed")

    assert store.read(KEY, 0, 10) == b"0123456789"


def test_nothing_is_copied_where_a_link_will_do(store, file, tmp_path):
    """Storing a shard on the same disk costs no second copy of it."""
    store.put(KEY, file, {})

    assert (tmp_path / "images" / KEY).samefile(file)


def test_a_missing_file_is_distinguished_from_a_failure(store, file):
    """A missing object, a missing file and a broken store are three things."""
    with pytest.raises(NotFoundError):
        store.read(KEY, 0, 1)
    with pytest.raises(FileNotFoundError):
        store.put(KEY, file.with_name("nothing"), {})
    file.with_name("in_the_way").write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        LocalStore(file.with_name("in_the_way")).put(KEY, file, {})


def test_delete_removes_and_does_not_mind(store, file):
    """A second deletion is not an error."""
    store.put(KEY, file, {})

    store.delete(KEY)
    store.delete(KEY)

    assert list(store.list()) == []


@pytest.mark.parametrize(
    "key", ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".hidden", "a/.b", "a\n"]
)
def test_no_key_leads_out_of_the_folder(store, file, key):
    """A key that could name something else is refused, whoever made it."""
    with pytest.raises(StorageError, match="not a key"):
        store.put(key, file, {})
    with pytest.raises(StorageError, match="not a key"):
        store.read(key, 0, 1)
    with pytest.raises(StorageError, match="not a key"):
        store.delete(key)


def test_a_store_that_is_removed_is_made_anew(tmp_path):
    """Somebody who clears the store does not stop what comes after."""
    file = tmp_path / "file"
    file.write_bytes(b"content")
    store = LocalStore(tmp_path / "store")
    store.put("run/one", file, {})
    shutil.rmtree(tmp_path / "store")

    store.put("run/two", file, {})

    assert [found.key for found in store.list()] == ["run/two"]


def test_only_a_missing_file_is_called_missing(tmp_path):
    """Whoever asks gives a missing file up: it must not be the store's own folder that is missing."""
    store = LocalStore(tmp_path / "store")
    with pytest.raises(FileNotFoundError):
        store.put("run/one", tmp_path / "nothing", {})
    assert not (tmp_path / "store").exists()

    file = tmp_path / "file"
    file.write_bytes(b"content")
    (tmp_path / "store").symlink_to(tmp_path / "nowhere" / "at" / "all")
    with pytest.raises(StorageError):
        store.put("run/one", file, {})


def test_what_cannot_be_looked_at_is_not_listed(tmp_path):
    """A link to nowhere is not an object, and hides no other."""
    file = tmp_path / "file"
    file.write_bytes(b"content")
    store = LocalStore(tmp_path / "store")
    store.put("run/one", file, {})
    (tmp_path / "store/run/a-link").symlink_to(tmp_path / "nowhere")

    assert [found.key for found in store.list()] == ["run/one"]
