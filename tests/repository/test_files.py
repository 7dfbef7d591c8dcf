"""What must never be in a tracked file."""

import re

import pytest
from support.repository import files, name_of

LIMIT_BYTES = 1 << 20

CORPUS = "tests/fuzz/corpus/"
"""What is sent to the bridge there is no text, whatever it looks like."""

TEXTS = [
    path
    for path in files()
    if b"\0" not in path.read_bytes() and not name_of(path).startswith(CORPUS)
]

NEVER = {
    "an address of a package registry": re.compile(
        r'"resolved": *"http|(index-url|find-links|registry) *[= ] *"?http|"https://files[.]'
        r"|://[^ /]*(registry|proxy|pypi|npm|crates|mirror)[^ /]*/",
    ),
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(home|root|work|Users)/\w"),
    "a merge that was left open": re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
    "a private key": re.compile("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----"),
}
"""What it is, and how it is recognised."""


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_nothing_that_must_never_be_there(path):
    """No download addresses, no local paths, no keys, no merge marks."""
    text = path.read_text()

    for what, pattern in NEVER.items():
        found = pattern.search(text)
        assert not found, f"{what}: {found[0] if found else ''}"


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_text_ends_with_one_newline(path):
    """A text file ends with a newline, and only one."""
    text = path.read_text()

    assert not text or (text.endswith("\n") and not text.endswith("\n\n"))


def test_no_file_is_large():
    """A checkout stays small: no file is over 1 MiB."""
    assert [name_of(path) for path in files() if path.stat().st_size > LIMIT_BYTES] == []
