"""The state folder belongs to one bridge."""

import pytest

from bridge.errors import SettingError
from bridge.storage.folder import state_folder


def test_a_missing_folder_is_made(tmp_path):
    """A first start needs no preparation."""
    with state_folder(tmp_path / "a" / "b") as folder:
        assert folder.path.is_dir()
        assert folder.is_durable
        assert folder.database.parent == folder.spool.parent == folder.images.parent == folder.path


def test_a_folder_gives_its_bridge_a_name(tmp_path):
    """Two bridges on one host are told apart, and each keeps its name over restarts."""
    names = []
    for folder in ("a", "b", "a"):
        with state_folder(tmp_path / folder) as state:
            names.append(state.instance_id)

    assert names[0] == names[2] != names[1]


def test_two_bridges_cannot_share_a_folder(tmp_path):
    """The second one is told so at once; after the first has gone it may have it."""
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
        pytest.raises(SettingError, match=r"state: .*cannot be written to"),
        state_folder(tmp_path / "file" / "state"),
    ):
        pass


def test_memory_leaves_nothing_behind():
    """An ephemeral bridge takes its folder with it."""
    with state_folder(None) as folder:
        (folder.path / "x").touch()
        assert not folder.is_durable

    assert not folder.path.exists()
