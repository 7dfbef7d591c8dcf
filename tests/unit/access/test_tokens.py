"""A file of tokens: what it may hold, and how it is looked up."""

import hmac
import os
import statistics
import time

import pytest
from support.waiting import until

from bridge.access import Credentials, Role
from bridge.access.tokens import Tokens, find_token, hash_of_token, read_tokens
from bridge.errors import SettingError
from bridge.telemetry import Telemetry

GOOD = """
tokens:
- name: trainers
  sha256: {0}
  roles: [ingest]
  sessions: team-a.
- name: alice@example.org
  sha256: {1}
  roles: control metrics
  expires: 2027-01-31
"""


def hashes():
    """Return the hashes of the tokens "one" and "two"."""
    return hash_of_token("one"), hash_of_token("two")


@pytest.fixture
def file(tmp_path):
    """Return a file of two tokens."""
    path = tmp_path / "tokens.yaml"
    path.write_text(GOOD.format(*hashes()))
    return path


async def test_a_token_is_known_by_its_hash(file):
    """The file holds no token, and says what each admits to."""
    tokens = Tokens(file, Telemetry())
    trainers = await tokens.identify(Credentials("one"))
    alice = await tokens.identify(Credentials("two"))
    assert (trainers.name, trainers.sessions, trainers.roles) == (
        "trainers",
        "team-a.",
        {Role.INGEST},
    )
    assert (alice.name, alice.sessions) == ("alice@example.org", "")
    assert alice.roles == {Role.CONTROL, Role.VIEW, Role.METRICS}
    for unknown in ("", "One", "one ", hash_of_token("one")):
        assert await tokens.identify(Credentials(unknown)) is None


async def test_a_date_means_its_end(file):
    """A token that expires on a day is good for all of it, in UTC."""
    alice = await Tokens(file, Telemetry()).identify(Credentials("two"))
    assert 1801440000 - 1 < alice.expires_at <= 1801440000


BAD = {
    "tokens: 3": "is not a list",
    "tokens:\n- one": "has no keys",
    "token:\n- name: x": "did you mean tokens?",
    "tokens:\n- name: x": "has no sha256",
    "tokens:\n- sha256: x": "has no name",
    "tokens:\n- {name: x, sha256: HASH, roles: []}": "roles",
    "tokens:\n- {name: x, sha256: HASH, roles: [admin]}": "ingest, view, control, metrics",
    "tokens:\n- {name: x, sha256: HASH, roles: [view], session: a}": "did you mean sessions?",
    "tokens:\n- {name: x, sha256: HASH, roles: [view], sessions: 'a b'}": "separator",
    "tokens:\n- {name: x, sha256: HASH, roles: [view], expires: soon}": "2027-01-31",
    "tokens:\n- {name: x, sha256: HASH, roles: [view]}\n- {name: x, sha256: OTHER, roles: [view]}": "twice",
    "tokens:\n- {name: x, sha256: HASH, roles: [view]}\n- {name: y, sha256: HASH, roles: [view]}": "another one",
    "tokens:\n- {name: x, sha256: secret-token, roles: [view]}": "trainbridge token new",
    "- tokens": "keys and values",
    "tokens: [": "not valid YAML",
}


def _doubled(first, following):
    """Return lists, or mappings, of which each holds the one before it eight times."""
    return ", ".join([first, *(following.format(n=n, last=f"*m{n - 1}") for n in range(1, 9))])


EIGHT = ", ".join(["{last}"] * 8)

SWOLLEN = {
    "dates": "tokens:\n- {name: x, sha256: HASH, roles: [view], expires: ["
    + _doubled("&m0 [x, x, x, x, x, x, x, x]", "&m{n} [" + EIGHT + "]")
    + "]}",
    "merged": "tokens: [" + _doubled("&m0 {name: x}", "&m{n} {{<<: [" + EIGHT + "]}}") + "]",
}
"""Files of a few hundred bytes that mean hundreds of millions of values."""


@pytest.mark.parametrize("kind", SWOLLEN)
def test_a_small_file_that_means_very_much_is_refused(tmp_path, kind):
    """At once: the bridge would have no time and no memory left for anybody."""
    path = tmp_path / "tokens.yaml"
    path.write_text(SWOLLEN[kind].replace("HASH", hashes()[0]))
    begun = time.process_time()
    with pytest.raises(SettingError, match=r"expires that is not a date|merged"):
        read_tokens(path)
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_cannot_be_used_says_why(tmp_path, text):
    """The sentence names the file and what would be right, and never what stands in place of a hash."""
    path = tmp_path / "tokens.yaml"
    one, two = hashes()
    path.write_text(text.replace("HASH", one).replace("OTHER", two))
    with pytest.raises(SettingError) as caught:
        read_tokens(path)
    assert str(caught.value).startswith(f"tokens_file is {path}")
    assert BAD[text] in str(caught.value)
    assert "secret-token" not in str(caught.value)
    assert one not in str(caught.value)


async def test_a_changed_file_is_read_again(file, monkeypatch, caplog):
    """What was removed admits nobody any more; a file that cannot be used changes nothing, and is logged once."""
    monkeypatch.setattr("bridge.access.watched_file.LOOK_SECONDS", 0.0)
    tokens = Tokens(file, Telemetry())
    trainers = await tokens.identify(Credentials("one"))
    assert tokens.is_current(trainers)
    _replace(file, "tokens: [")
    for _ in range(5):
        assert await tokens.identify(Credentials("one")) == trainers
    assert [record.message for record in caplog.records].count("access stays as it was") == 1
    _replace(file, GOOD.format(hash_of_token("new"), hash_of_token("two")))
    assert await tokens.identify(Credentials("one")) is None
    assert not tokens.is_current(trainers)
    renewed = await tokens.identify(Credentials("new"))
    assert renewed.name == "trainers"
    file.unlink()
    assert await tokens.identify(Credentials("new")) == renewed


def _replace(file, text):
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


def test_a_comparison_takes_as_long_wherever_a_token_stands(tmp_path):
    """Every entry is compared, in constant time, whether one before it matched or not."""
    path = tmp_path / "tokens.yaml"
    rows = (f"- {{name: n{n}, sha256: {hash_of_token(str(n))}, roles: [view]}}" for n in range(200))
    path.write_text("tokens:\n" + "\n".join(rows))
    entries = read_tokens(path)
    compared = []
    original = hmac.compare_digest

    def counting(one, other):
        compared.append(one)
        return original(one, other)

    hmac.compare_digest = counting
    try:
        for token in ("0", "199", "unknown"):
            compared.clear()
            find_token(token, entries)
            assert len(compared) == len(entries)
    finally:
        hmac.compare_digest = original


def test_the_time_of_a_comparison_says_nothing_of_the_token(tmp_path):
    """The first token of a file, the last one and none at all take the same time, within the noise of a machine."""
    path = tmp_path / "tokens.yaml"
    rows = (f"- {{name: n{n}, sha256: {hash_of_token(str(n))}, roles: [view]}}" for n in range(500))
    path.write_text("tokens:\n" + "\n".join(rows))
    entries = read_tokens(path)
    times = {token: [] for token in ("0", "499", "unknown")}
    for _ in range(60):  # in turn, so that what else the machine does hits all of them
        for token, taken in times.items():
            begun = time.perf_counter()
            find_token(token, entries)
            taken.append(time.perf_counter() - begun)
    fastest = {token: statistics.median(sorted(taken)[:20]) for token, taken in times.items()}
    # Where a match ended the search, the first would take a five-hundredth.
    assert max(fastest.values()) < 3 * min(fastest.values()), fastest


async def test_a_large_file_is_read_aside(file, monkeypatch):
    """The event loop goes on meanwhile, with what the file held before, and takes what it holds once that was read."""
    monkeypatch.setattr("bridge.access.watched_file.LOOK_SECONDS", 0.0)
    tokens = Tokens(file, Telemetry())
    rows = "".join(
        f"- {{name: n{n}, sha256: {hash_of_token(str(n))}, roles: [view]}}\n" for n in range(100)
    )
    _replace(file, f"tokens:\n{rows}")

    async def is_known():
        return await tokens.identify(Credentials("99"))

    assert (await until(is_known)).name == "n99"
    assert await tokens.identify(Credentials("one")) is None


@pytest.mark.parametrize("kind", ["pipe", "folder", "endless"])
async def test_what_is_not_a_file_is_left_alone(file, monkeypatch, caplog, kind):
    """A pipe would hold up the bridge until somebody writes to it, and a device would fill its memory."""
    monkeypatch.setattr("bridge.access.watched_file.LOOK_SECONDS", 0.0)
    tokens = Tokens(file, Telemetry())
    good = file.read_text()
    file.unlink()
    if kind == "endless":
        file.symlink_to("/dev/zero")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(file)
    for _ in range(3):
        assert (await tokens.identify(Credentials("one"))).name == "trainers"
    assert [record.message for record in caplog.records].count("access stays as it was") == 1
    (os.rmdir if kind == "folder" else os.unlink)(file)
    file.write_text(good.replace(hashes()[0], hash_of_token("new")))
    assert (await tokens.identify(Credentials("new"))).name == "trainers"
