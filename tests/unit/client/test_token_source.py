"""Where a token comes from, and when it is read again."""

import logging
import os

import pytest

from bridge.client.credentials import TOKEN_LIMIT
from bridge.client.settings import destination
from bridge.client.token_source import HIDDEN, TokenSource, hidden, token_source

SECRET, NEWER = "tb_planted-first", "tb_planted-second"


@pytest.fixture
def file(tmp_path):
    """Return a file with a token."""
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def test_which_token_counts(tmp_path, file):
    """The argument, the file argument, the variable, the variable of a file; what is empty is not given."""
    other = tmp_path / "other"
    other.write_text("of the variable's file")
    both = {"TRAINBRIDGE_TOKEN": "of the variable", "TRAINBRIDGE_TOKEN_FILE": str(other)}
    only_file = {"TRAINBRIDGE_TOKEN": " \n", "TRAINBRIDGE_TOKEN_FILE": str(other)}

    found = [
        token_source("of the argument", file, both),
        token_source("", file, both),
        token_source("", "", both),
        token_source("", " ", only_file),
        token_source("", "", {}),
    ]

    assert [(one.value, one.source) for one in found] == [
        ("of the argument", "the argument token"),
        (SECRET, f"the file {file} (token_file)"),
        ("of the variable", "TRAINBRIDGE_TOKEN"),
        ("of the variable's file", f"the file {other} (TRAINBRIDGE_TOKEN_FILE)"),
        ("", ""),
    ]


def test_a_file_is_read_again_when_it_is_rewritten(file):
    """Also with content of the same length, within the same tick of the file system's clock."""
    source = token_source("", file, {})
    before = file.stat()

    assert not source.refresh()
    file.write_text(SECRET[::-1])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert source.refresh()
    assert source.value == SECRET[::-1]
    assert source.header == f"Bearer {SECRET[::-1]}"
    assert not source.refresh()


def test_a_projected_token_is_renewed_by_a_symbolic_link(tmp_path):
    """As a kubelet does it: the file's own path never changes, the folder behind it does."""
    for name, text in (("..1", SECRET), ("..2", NEWER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    source = token_source("", tmp_path / "token", {})

    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert source.refresh()
    assert source.value == NEWER


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        ("", "is empty"),
        (" \n", "is empty"),
        (f"{NEWER}\nx", "a line break"),
        (b"\xff\xfe", "is not text"),
        ("x" * (TOKEN_LIMIT + 1), "have room for"),
        ("x" * 100_000, "100000 bytes"),
    ],
)
def test_what_cannot_be_used_for_a_moment_keeps_the_last_token(file, content, problem):
    """It is said why where the bridge asks for another one, and never what stands there."""
    source = token_source("", file, {})
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content)

    assert not source.refresh()
    assert source.value == SECRET
    assert problem in source.problem
    assert NEWER not in source.problem
    file.write_text(NEWER)
    assert source.refresh()
    assert not source.problem


def test_what_can_be_read_only_once_is_read_only_once(tmp_path, file):
    """A pipe would be waited for; the token that came out of it stays."""
    source = token_source("", file, {})
    file.unlink()
    os.mkfifo(file)

    assert not source.refresh()
    assert source.value == SECRET
    assert "regular file" in source.problem


def test_a_file_is_found_after_a_change_of_the_folder(tmp_path, file, monkeypatch):
    """A relative path is of the folder in which the session was made."""
    monkeypatch.chdir(tmp_path)
    source = token_source("", file.name, {})
    monkeypatch.chdir("/")
    file.write_text(NEWER)

    assert source.refresh()


def test_a_token_of_an_argument_or_a_variable_stays(monkeypatch):
    """Nothing is read again."""
    source = token_source("", "", {"TRAINBRIDGE_TOKEN": SECRET})

    assert not source.refresh()
    assert source.value == SECRET


def test_a_token_is_not_shown(file):
    """Neither by repr nor by what others say of it."""
    source = token_source("", file, {})

    assert SECRET not in repr(source)
    assert source.hide_in(f"who is {SECRET}?") == f"who is {HIDDEN}?"
    assert hidden("a cat", "a") == "a cat"
    assert TokenSource().hide_in("as it is") == "as it is"


@pytest.mark.parametrize("wrong", [b"bytes", 7, ["x"]])
def test_an_argument_that_is_not_text(wrong):
    """It is refused by its type, and not shown."""
    with pytest.raises(ValueError, match=r"^token: a \w+ is not text$"):
        token_source(wrong, "", {})


def test_a_token_in_plain_text_is_warned_of_once(caplog):
    """For each bridge on another machine; TLS, this machine and a session without a token are nothing to warn of."""
    with caplog.at_level(logging.WARNING, "trainbridge"):
        for _ in range(3):
            destination("plain.example:1", token=SECRET, environment={})
        for address, token in (
            ("grpcs://tls.example:1", SECRET),
            ("127.0.0.1:1", SECRET),
            ("localhost:1", SECRET),
            ("unix:/run/bridge.sock", SECRET),
            ("without.example:1", ""),
        ):
            destination(address, token=token, environment={})

    (message,) = caplog.messages
    assert message.startswith("the token goes to plain.example:1 in plain text")
    assert "grpcs://" in message
    assert SECRET not in message
