"""A bridge that does not let the token in: said once, nothing is lost, and the loop goes on."""

import logging
import time

import pytest
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client import TrainingSession

WRONG, RIGHT, NEXT = "tb_planted-wrong", "tb_planted-right", "tb_planted-next"

CLOSE_SECONDS = 60
"""Only a test that fails takes so long."""


@pytest.fixture
def bridge():
    """Return a bridge that lets in who shows a token, and whose heartbeats come often."""
    with serving(FakeBridge()) as one:
        one.config.heartbeat_interval_ms = 50
        one.tokens = {RIGHT}
        yield one


@pytest.fixture
def file(tmp_path):
    """Return a file with a token that is not let in."""
    path = tmp_path / "token"
    path.write_text(WRONG)
    return path


def session_of(bridge, **options):
    """Return a session of a bridge."""
    return TrainingSession(
        bridge.address, session_id="run", **{"close_seconds": CLOSE_SECONDS, **options}
    )


def complaints(caplog):
    """Return what was logged of a missing connection."""
    return [line for line in warnings(caplog) if line.startswith("no connection")]


def warnings(caplog):
    """Return what was logged for people."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_token_that_is_let_in_goes_with_every_call(bridge):
    """With the registration and with the stream."""
    with session_of(bridge, token=RIGHT) as session:
        session.log_batch(0.5, epoch=0, batch=0)

    assert session.stats.batches_acknowledged == 1
    assert session.stats.refusal == ""
    assert set(bridge.authorizations) == {f"Bearer {RIGHT}"}
    assert len(bridge.authorizations) == 2


def test_a_renewed_file_lets_a_refused_run_in(bridge, file, caplog):
    """Everything from before is delivered, in order and once; one line has said what was wrong."""
    with (
        caplog.at_level(logging.DEBUG, "trainbridge"),
        session_of(bridge, token_file=file) as session,
    ):
        for batch in range(20):
            session.log_batch(0.5, epoch=0, batch=batch)
        until_true(lambda: len(bridge.authorizations) >= 3)
        refusal = session.stats.refusal
        file.write_text(RIGHT)
        until_true(lambda: session.stats.batches_acknowledged == 20)

    assert bridge.batches() == [(0, batch) for batch in range(20)]
    assert session.stats.refusal == ""
    (line,) = complaints(caplog)
    assert f"it does not accept the token from the file {file} (token_file)" in line
    assert ": \"nobody knows '[token]'\"; write" in line
    assert "write a valid one into that file, and it is used at once" in line
    assert "messages are kept" in line
    assert refusal
    assert refusal in line
    assert not [secret for secret in (WRONG, RIGHT) if secret in caplog.text]


def test_a_token_that_is_taken_away_ends_a_stream_and_no_run(bridge, file, caplog):
    """The stream that came in with it ends; with the next one in the file it goes on, and 0 are lost."""
    file.write_text(RIGHT)
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        session_of(bridge, token_file=file) as session,
    ):
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: session.stats.batches_acknowledged == 1)
        bridge.tokens = {NEXT}
        session.log_batch(0.5, epoch=0, batch=1)
        until_true(lambda: session.stats.refusal)
        session.log_batch(0.5, epoch=0, batch=2)
        file.write_text(NEXT)

    assert session.stats.batches_acknowledged == 3
    assert bridge.batches() == [(0, 0), (0, 1), (0, 2)]
    assert len(complaints(caplog)) == 1


def test_a_token_that_was_renewed_in_time_is_nothing_to_speak_of(bridge, file, caplog):
    """A kubelet renews it before the old one expires: the stream is opened again with the new one, at once."""
    file.write_text(RIGHT)
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        session_of(bridge, token_file=file) as session,
    ):
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: session.stats.batches_acknowledged == 1)
        file.write_text(NEXT)
        bridge.tokens = {NEXT}
        session.log_batch(0.5, epoch=0, batch=1)
        until_true(lambda: session.stats.batches_acknowledged == 2)

    assert not complaints(caplog)
    assert bridge.authorizations[-1] == f"Bearer {NEXT}"


def test_a_bridge_that_asks_to_connect_again_is_shown_what_the_file_has_by_then(
    bridge, file, caplog
):
    """So it renews a token that is about to expire, without ending anything."""
    file.write_text(RIGHT)
    bridge.tokens = {RIGHT, NEXT}
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        session_of(bridge, token_file=file) as session,
    ):
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: session.stats.batches_acknowledged == 1)
        file.write_text(NEXT)
        bridge.drain_at = session.stats.messages + 1
        session.log_batch(0.5, epoch=0, batch=1)
        until_true(lambda: session.stats.connections == 2)
        session.log_batch(0.5, epoch=0, batch=2)

    assert bridge.batches() == [(0, 0), (0, 1), (0, 2)]
    assert bridge.authorizations == [f"Bearer {RIGHT}"] * 2 + [f"Bearer {NEXT}"] * 2
    assert not complaints(caplog)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "it asks for a token, and none is given"),
        ({"token": WRONG}, "it does not accept the token from the argument token"),
    ],
)
def test_closing_does_not_wait_for_a_token_beyond_its_time(bridge, caplog, options, words):
    """What was reported stays undelivered, and the last line says why."""
    with caplog.at_level(logging.WARNING, "trainbridge"):
        session = session_of(bridge, close_seconds=0.5, **options)
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: session.stats.refusal)
        began_at = time.monotonic()
        left = session.close()

    assert time.monotonic() - began_at < 60
    assert left == session.stats.unacknowledged > 0
    assert words in warnings(caplog)[0]
    assert "the bridge does not let this process in, see above" in warnings(caplog)[-1]
    assert WRONG not in caplog.text


def test_a_spool_keeps_what_is_not_let_in(bridge, tmp_path, file):
    """As for a bridge that is away; nothing of it holds the token."""
    with session_of(bridge, token_file=file, spool_dir=tmp_path / "s", close_seconds=0.5) as one:
        one.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: one.stats.refusal)

    assert one.stats.kept == one.stats.messages > 0
    kept = [path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert kept
    assert not [content for content in kept if WRONG.encode() in content]


def test_a_token_without_the_role(bridge, caplog):
    """It is known, so renewing it does not help: another one is needed."""
    bridge.tokens = {WRONG}
    bridge.forbidden = {WRONG}
    with caplog.at_level(logging.WARNING, "trainbridge"):
        session = session_of(bridge, token=WRONG, close_seconds=0.1)
        until_true(lambda: session.stats.refusal)
        session.close()

    assert "it does not let the token from the argument token stream this session" in caplog.text
    assert "give a token with the role ingest" in caplog.text
    assert WRONG not in caplog.text


def test_strict_mode_raises_in_the_loop(bridge):
    """A loop that is tested learns at its next call that nothing arrives; without the token's text."""
    session = session_of(bridge, token=WRONG, strict=True, close_seconds=0.1)
    until_true(lambda: session.stats.refusal)

    with pytest.raises(ValueError, match="it does not accept the token") as refusal:
        session.log_batch(0.5, epoch=0, batch=0)

    session.close()
    assert WRONG not in str(refusal.value)


def test_a_bridge_without_access_control_takes_no_notice(bridge):
    """Such as an original one: a token that is given does not matter."""
    bridge.tokens = None
    with session_of(bridge, token=WRONG) as session:
        session.log_batch(0.5, epoch=0, batch=0)

    assert session.stats.batches_acknowledged == 1
