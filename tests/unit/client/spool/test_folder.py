"""Folders of sessions: whose they are, and who works with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.spools import identity_of, open_files

from bridge.client.identity import Identity
from bridge.client.spool.folder import Folder, InUseError, folders_in, is_abandoned

CHILD = """
import os, sys
from pathlib import Path
from bridge.client.spool.folder import Folder
from bridge.client.identity import Identity, RunConfig

folder = Folder.create(Path(sys.argv[1]), Identity("run", "0" * 32, "c", "1", RunConfig()))
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(writer)
    folder.release()
    os.write(1, b"released\\n")
    os.read(reader, 1)  # lives on until its parent is gone
    os.read(0, 1)
    os._exit(0)
os.read(0, 1)
os._exit(0)
"""


def test_a_folder_tells_whose_it_is(tmp_path):
    """All that registers a session again is in it, and no secret."""
    folder = Folder.create(tmp_path / "deep" / "spool", identity_of())
    folder.release()

    (path,) = folders_in(tmp_path / "deep" / "spool")
    found = Folder.claim(path)

    assert path.name == "run-01234567"
    assert found.identity == identity_of()
    assert path.stat().st_mode & 0o077 == 0, "others may not read what a run says"
    assert list(folders_in(path)) == [path]


def test_a_folder_is_one_process_s_at_a_time(tmp_path):
    """Whoever comes second gets an error, and can look without taking it over."""
    folder = Folder.create(tmp_path, identity_of())
    assert not is_abandoned(folder.path)
    with pytest.raises(InUseError):
        Folder.claim(folder.path)

    folder.release()

    assert is_abandoned(folder.path)
    assert is_abandoned(folder.path)
    Folder.claim(folder.path).remove()
    assert list(tmp_path.iterdir()) == []
    assert not is_abandoned(folder.path)


def test_a_forked_child_neither_frees_a_folder_nor_holds_it(tmp_path):
    """The lock stays while the parent lives, whatever the child does, and goes with the parent."""
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert parent.stdout.readline() == b"released\n"
        (path,) = folders_in(tmp_path)
        assert not is_abandoned(path)

        parent.kill()
        parent.wait(60)

        assert is_abandoned(path)
    finally:
        parent.kill()
        parent.communicate()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"plan": {"class_names": []}}'])
def test_a_folder_that_tells_nothing_is_refused(tmp_path, text):
    """Nobody is made up."""
    with pytest.raises(ValueError):  # noqa: PT011 -- json has texts of its own
        Identity.from_json(text)
    path = tmp_path / "run"
    path.mkdir()
    (path / "session.json").write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011
        Folder.claim(path)
    assert is_abandoned(path), "it was let go of"


def test_a_folder_of_an_older_version_says_nothing_of_a_run():
    """What that version did not know is not reported, and the folder is delivered as ever."""
    fields = json.loads(identity_of().to_json())
    for name in ("run_id", "rank", "world_size", "checksum"):
        fields.pop(name, None)

    found = Identity.from_json(json.dumps(fields))

    assert (found.run_id, found.rank, found.world_size) == ("", None, 0)


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    """While the run is set up, where somebody can still do something about it."""
    file = tmp_path / "file"
    file.touch()
    before = open_files()
    for place in (file, Path("/proc/none")):
        with pytest.raises(OSError, match=f"spool_dir cannot be used: .*{place}"):
            Folder.create(place, identity_of())

    assert open_files() == before
