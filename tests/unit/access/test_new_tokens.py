"""Tokens that are made here, and how their entries come into a file."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.access import Role
from bridge.access.new_tokens import Grant, add_entry, entry_text, new_token
from bridge.access.tokens import find_token, read_tokens
from bridge.errors import SettingError

ALICE = Grant("alice", (Role.CONTROL, Role.METRICS), "team-a.", 2_000_000_000)


@pytest.fixture
def file(tmp_path):
    """Return where a tokens file is to be."""
    return tmp_path / "tokens.yaml"


def names(file):
    """Return the names in a file."""
    return [entry.identity.name for entry in read_tokens(file)]


def test_a_token_is_random_and_known_at_sight():
    """It has 256 bits, in letters that need no quotes in a shell, a URL or a header."""
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert token.startswith("tb_")
        assert len(token) == 3 + 43
        assert token.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("name", ["alice", "a: b", "null", "0123", "a b", "a@b/c", "yes", "1.5"])
def test_an_entry_is_read_as_it_was_meant(file, name):
    """Whatever a name looks like to YAML; the token itself is not in it."""
    token = new_token()
    grant = Grant(name, ALICE.roles, ALICE.sessions, ALICE.expires_at)
    file.write_text("tokens:\n" + entry_text(grant, token))
    identity = find_token(token, read_tokens(file)).identity
    assert (identity.name, identity.sessions, identity.expires_at) == (name, "team-a.", 2e9)
    assert identity.roles == {Role.CONTROL, Role.VIEW, Role.METRICS}
    assert token not in file.read_text()


def test_a_file_is_begun(file):
    """Only its owner may read it, until somebody decides otherwise."""
    add_entry(file, ALICE, new_token())
    assert names(file) == ["alice"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "before",
    [
        "",
        "tokens: []\n",
        "# ours\ntokens:\n",
        "tokens:\n{0}",
        "# ours\ntokens:\n{0}# and more\n",
        "tokens:\n  - name: x\n    sha256: {1}\n    roles: [view]",
        "tokens:\n- {{name: x, sha256: {1}, roles: [view]}}\n",
    ],
)
def test_what_stands_in_a_file_stays(file, before):
    """Comments, indents and the mode; the new entry is the last."""
    x = Grant("x", (Role.VIEW,))
    before = before.format(entry_text(x, "tb_x"), "a" * 64)
    file.write_text(before)
    file.chmod(0o640)
    token = new_token()
    add_entry(file, ALICE, token)
    assert names(file) == (["x", "alice"] if "name" in before else ["alice"])
    assert find_token(token, read_tokens(file)).identity.name == "alice"
    assert all(line in file.read_text() for line in before.splitlines() if "[]" not in line)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_a_link_stays_one(file, tmp_path):
    """The file that it leads to is replaced."""
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "tokens"
    target.write_text("tokens: []")
    file.symlink_to(target)
    add_entry(file, ALICE, new_token())
    assert file.is_symlink()
    assert names(target) == ["alice"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("tokens:\n{0}", "alice already"),
        ("tokens: [{{name: x, sha256: {1}, roles: [view]}}]", "rewrite it so"),
        ("tokens: [", "not valid YAML"),
        ("tokens: 3", "is not a list"),
    ],
)
def test_a_file_that_cannot_be_extended_is_left_alone(file, before, expected):
    """The reason says what to do, and nothing is written."""
    before = before.format(entry_text(ALICE, "tb_a"), "a" * 64)
    file.write_text(before)
    with pytest.raises(SettingError, match=expected):
        add_entry(file, ALICE, new_token())
    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """With what to give instead."""
    with pytest.raises(SettingError, match="a folder that exists"):
        add_entry(tmp_path / "missing" / "tokens.yaml", ALICE, new_token())


def test_many_at_once_lose_nothing(file):
    """Each adds to what the one before has written."""
    wanted = [f"n{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_entry(file, Grant(n, (Role.VIEW,)), new_token()), wanted))
    assert sorted(names(file)) == sorted(wanted)
