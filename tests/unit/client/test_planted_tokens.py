"""A token, wherever it was given, stands in nothing that a session says, keeps or sends but its header."""

import logging
import os
import pickle
import socket
import traceback
from contextlib import contextmanager

import pytest
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.settings import destination

SECRET = "tb_planted-7c1f0e2a"
WAYS = ("argument", "file argument", "variable", "variable of a file")


def given(way, folder, monkeypatch):
    """Give a token in one way; return the arguments of a session for it."""
    file = folder / "token"
    file.write_text(f"{SECRET}\n")
    if way.startswith("variable"):
        is_file = way.endswith("file")
        name = "TRAINBRIDGE_TOKEN_FILE" if is_file else "TRAINBRIDGE_TOKEN"
        monkeypatch.setenv(name, str(file) if is_file else SECRET)
        return {}
    return {"token_file": file} if way.startswith("file") else {"token": SECRET}


@contextmanager
def nobody(_monkeypatch):
    """Yield an address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"127.0.0.1:{port}"


@contextmanager
def unknown(_monkeypatch):
    """Yield the address of a bridge that does not know the token, and repeats it."""
    with serving(FakeBridge()) as bridge:
        bridge.tokens = set()
        yield bridge.address


@contextmanager
def forbidden(_monkeypatch):
    """Yield the address of a bridge that knows it, lets it do nothing, and repeats it."""
    with serving(FakeBridge()) as bridge:
        bridge.forbidden = {SECRET}
        yield bridge.address


@contextmanager
def without_tls(_monkeypatch):
    """Yield the address, with TLS, of a bridge that has none."""
    with serving(FakeBridge()) as bridge:
        yield f"grpcs://{bridge.address}"


@contextmanager
def behind_a_proxy(monkeypatch):
    """Yield the address of a bridge behind a proxy at which nothing listens."""
    with nobody(monkeypatch) as address:
        monkeypatch.setenv("grpc_proxy", f"http://user:password@{address}")
        yield "far.example.org:50051"


SITUATIONS = (nobody, unknown, forbidden, without_tls, behind_a_proxy)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_token_stands_in_nothing_that_is_said_or_kept(
    way, situation, tmp_path, monkeypatch, caplog, capfd
):
    """Log lines down to debug, what a strict loop raises, texts of objects, copies, the counters, the spool."""
    caplog.set_level(logging.DEBUG)
    options = given(way, tmp_path, monkeypatch)
    with situation(monkeypatch) as address:
        session = TrainingSession(
            address,
            session_id="run",
            spool_dir=tmp_path / "spool",
            close_seconds=0.1,
            strict=True,
            config=dict(os.environ),
            **options,
        )
        said = []
        until_true(lambda: session._runtime.transport.failure)
        try:
            session.log_batch(0.5, epoch=0, batch=0)
        except ValueError as error:
            said += traceback.format_exception(error)
        session.close()
        said += [repr(session), repr(session.stats), str(session._runtime.transport.failure)]
        said += [
            repr(vars(part)) for part in (session, session._runtime, session._runtime.transport)
        ]
        said += [repr(pickle.dumps(session))]

    out, err = capfd.readouterr()
    kept = [path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert kept
    assert not [text for text in (caplog.text, out, err, *said) if SECRET in text]
    assert not [content for content in kept if SECRET.encode() in content]


@pytest.mark.parametrize("way", WAYS)
def test_a_bridge_gets_it_as_a_header_alone(way, tmp_path, monkeypatch):
    """Not with the configuration, under whatever name a loop reports it there, nor in any message."""
    options = given(way, tmp_path, monkeypatch)
    monkeypatch.setenv("EXTRA_HEADERS", f"authorization=Bearer {SECRET}")
    config = {**os.environ, "argv": ["train.py", "--with", SECRET], "plain": 1}
    with serving(FakeBridge()) as bridge:
        bridge.tokens = {SECRET}
        with TrainingSession(
            bridge.address, session_id="run", config=config, close_seconds=60, **options
        ) as session:
            session.log_batch(0.5, epoch=0, batch=0)

    assert session.stats.batches_acknowledged == 1
    assert set(bridge.authorizations) == {f"Bearer {SECRET}"}
    others = [{k: v for k, v in call.items() if k != "authorization"} for call in bridge.metadata]
    assert '"plain": 1' in bridge.registrations[0].config_json
    assert SECRET not in f"{bridge.registrations} {bridge.received} {others}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "nonsense://x"},
        {"address": "host:port"},
        {"ca_file": "/nowhere"},
        {"token": f"{SECRET}\nmore"},
        {"token": SECRET * 1000},
        {"token": SECRET.encode()},
        {"session_id": "not a name"},
    ],
)
def test_a_session_that_cannot_be_made_shows_no_token(wrong):
    """Whatever is wrong, with the token or with what is beside it."""
    options = {"address": "127.0.0.1:1", "token": SECRET, **wrong}
    with pytest.raises((ValueError, OSError)) as raised:
        TrainingSession(options.pop("address"), **options)

    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_an_address_with_a_token_in_it_is_not_shown():
    """It is refused, and what stands before the host is not repeated."""
    with pytest.raises(ValueError, match="address") as raised:
        destination(f"grpcs://{SECRET}@bridge.example.org:1", environment={})

    assert SECRET not in str(raised.value)
