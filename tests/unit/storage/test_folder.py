"""The state folder belongs to one bridge."""

import errno
import fcntl
import os

import pytest

from bridge.errors import SettingError, StorageError
from bridge.storage.folder import state_folder, way_out
from bridge.storage.sqlite.database import SqliteDatabase


def test_a_missing_folder_is_made(tmp_path):
    """A first start needs no preparation."""
    with state_folder(tmp_path / "a" / "b") as folder:
        assert folder.path.is_dir()
        assert folder.is_durable
        assert folder.database.parent == folder.spool.parent == folder.images.parent == folder.path


def test_a_folder_gives_its_bridge_a_name(tmp_path):
    """Two bridges on one host have different names, and each keeps its name over restarts."""
    names = []
    for folder in ("a", "b", "a"):
        with state_folder(tmp_path / folder) as state:
            names.append(state.instance_id)

    assert names[0] == names[2] != names[1]


def test_two_bridges_cannot_share_a_folder(tmp_path):
    """The second one is refused at once; after the first has gone it may have it."""
    with (
        state_folder(tmp_path),
        pytest.raises(SettingError, match="in use by another bridge"),
        state_folder(tmp_path),
    ):
        pass
    with state_folder(tmp_path):
        pass


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    """The setting is named, and why it cannot be."""
    (tmp_path / "file").touch()

    with (
        pytest.raises(SettingError, match=r"state: .*cannot be written to \(.*: remove the file"),
        state_folder(tmp_path / "file" / "state"),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "write access"),
        (errno.EEXIST, "remove the file"),
        (errno.ENOTDIR, "remove the file"),
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "mount a volume"),
        (errno.EIO, "repair"),
    ],
)
def test_each_reason_has_its_way_out(number, remedy):
    """A full disk needs no rights, nor does a file that is in the way."""
    assert remedy in way_out(OSError(number, os.strerror(number)))


def test_memory_leaves_nothing_behind():
    """An ephemeral bridge takes its folder with it."""
    with state_folder(None) as folder:
        (folder.path / "x").touch()
        assert not folder.is_durable

    assert not folder.path.exists()


@pytest.mark.parametrize("removed", ["lock", "everything"])
def test_nothing_in_the_folder_can_be_removed_to_let_another_in(tmp_path, removed):
    """The folder itself is held, so a second bridge stays out whatever somebody cleans up."""
    with state_folder(tmp_path / "state") as folder:
        (folder.path / "x").touch()
        for file in folder.path.iterdir():
            if removed in (file.name, "everything"):
                file.unlink()
        with (
            pytest.raises(SettingError, match="in use by another bridge"),
            state_folder(tmp_path / "state"),
        ):
            pass


def test_another_path_leads_to_the_same_folder(tmp_path):
    """A link, or a folder that was moved meanwhile, is the folder that it is."""
    with state_folder(tmp_path / "state"):
        (tmp_path / "link").symlink_to(tmp_path / "state")
        (tmp_path / "state").rename(tmp_path / "moved")
        (tmp_path / "state").symlink_to(tmp_path / "moved")
        for path in (tmp_path / "moved", tmp_path / "link"):
            with pytest.raises(SettingError, match="in use by"), state_folder(path):
                pass


def test_a_bridge_of_before_is_kept_out_and_keeps_out(tmp_path):
    """The first releases lock a file of this name, and nothing else."""
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SettingError, match="in use by"), state_folder(tmp_path):
            pass
    with state_folder(tmp_path), (tmp_path / "lock").open("w") as lock, pytest.raises(OSError):  # noqa: PT011
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two\nlines\n", b" ", b"x" * 1000])
def test_a_damaged_name_is_replaced_once(tmp_path, content):
    """A name that a full disk cut short, or that is none, stops no start and is not used."""
    (tmp_path / "instance-id").write_bytes(content)
    names = []
    for _ in range(2):
        with state_folder(tmp_path) as folder:
            names.append(folder.instance_id)

    assert names[0] == names[1]
    assert len(names[0]) > 8
    assert names[0].isprintable()


def as_a_pipe(path):
    """Put a pipe there, whose other end nobody opens."""
    os.mkfifo(path)


def as_a_device(path):
    """Put a link to an endless device there."""
    path.symlink_to("/dev/zero")


def as_a_folder(path):
    """Put a folder there."""
    path.mkdir()


STRANGE = [as_a_pipe, as_a_device, as_a_folder]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("put", STRANGE)
@pytest.mark.parametrize("name", ["instance-id", "instance-id.new"])
def test_a_name_that_is_not_a_file_is_replaced(tmp_path, put, name):
    """The start waits for nobody, and reads no more than a name."""
    put(tmp_path / name)

    with state_folder(tmp_path) as folder:
        assert folder.instance_id


@pytest.mark.timeout(60)
@pytest.mark.parametrize("put", STRANGE)
def test_a_lock_that_is_not_a_file_is_refused(tmp_path, put):
    """It is named, and the start does not wait for the other end of a pipe."""
    put(tmp_path / "lock")

    with (
        pytest.raises(SettingError, match=r"state: .*(lock is not a file|Is a directory)"),
        state_folder(tmp_path),
    ):
        pass


@pytest.mark.timeout(60)
@pytest.mark.parametrize("put", STRANGE)
@pytest.mark.parametrize("name", ["trainbridge.db", "trainbridge.db-wal", "trainbridge.db-shm"])
def test_a_database_that_is_not_a_file_is_refused(tmp_path, put, name):
    """So are its log and the index of that; each is named."""
    put(tmp_path / name)

    with pytest.raises(StorageError, match=name):
        SqliteDatabase(tmp_path / "trainbridge.db")
