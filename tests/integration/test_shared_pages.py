"""Two real bridges on one PostgreSQL: each shows what the other has, also when that hangs, and believes nobody else."""

import json
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from support.bridges import launched
from support.certificates import Authority
from support.jpegs import jpeg
from support.waiting import until_true

from bridge.client import TrainingSession

PATHS = (
    *("/sessions/run", "/sessions/run/attempts/1", "/sessions/run/batches/1-1"),
    *("/go/images?session=run&epoch=1", "/compare?sessions=run", "/", "/bridges"),
    *("/api/v1/sessions", "/api/v1/sessions/run", "/api/v1/sessions/run/curves"),
    *("/api/v1/sessions/run/events", "/api/v1/sessions/run/images", "/api/v1/bridges"),
    *("/api/v1/sessions/run/batches/1-1", "/api/v1/sessions/run/commands"),
)

STALE = "trainbridge-stale-seconds"


@contextmanager
def bridges(url, folder, *, of_the_first=()):
    """Run two bridges on one database; the flags are of the first one."""

    def bridge(name, *flags):
        own = ("--state", url, "--spool-folder", str(folder / name))
        store = ("--images-store", f"file://{folder / 'store'}", "--images-keep", "all")
        return launched(folder / name, *own, *store, *flags)

    with bridge("one", *of_the_first) as one, bridge("two") as two:
        yield one.ready(), two.ready()


@contextmanager
def training(address):
    """Have a training loop that has sent batches with images, and goes on."""
    with TrainingSession(address, session_id="run", model="m", class_names=["a", "b"]) as session:
        for number in range(10):
            session.log_batch(
                0.5, epoch=1, batch=number, images=[jpeg(16, 16, 40)], predictions=[1]
            )
        session.flush()
        yield session


def get(address, path, **headers):
    """Return status, headers and text of an answer."""
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.status, response.headers, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode(errors="replace")


def passed_on(address, path):
    """Return an answer, or None where it was made of a checkpoint."""
    answer = get(address, path)
    return None if STALE in answer[1] else answer


def session_at(address):
    """Return the session as a bridge shows it to programs."""
    return json.loads(get(address, "/api/v1/sessions/run")[2])


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "tls"])
def test_each_bridge_shows_what_the_other_has(postgres_url, tmp_path, is_encrypted):
    """All of it, up to the last batch; over TLS the certificate that the other one has announced is enough."""
    flags = ()
    if is_encrypted:
        files = Authority(tmp_path / "certificates").issue("one")
        certificate, key = str(files.certificate), str(files.key)
        flags = ("--http-tls-cert-file", certificate, "--http-tls-key-file", key)
    with (
        bridges(postgres_url, tmp_path, of_the_first=flags) as (one, two),
        training(one.grpc),
    ):
        until_true(lambda: session_at(two.http)["batches"] == 10, what="two shows what one has")
        for path in PATHS:
            # On a machine with much to do, a bridge may not answer within its second.
            status, _, text = until_true(lambda path=path: passed_on(two.http, path), what=path)
            assert status == 200, (path, text)
        assert "Bridges" in get(two.http, "/")[2]
        known = json.loads(get(two.http, "/api/v1/bridges")[2])
        assert sorted(bridge["sessions"] for bridge in known["bridges"]) == [0, 1]
        assert known["acknowledgement"].startswith("An Ack means")


def test_a_bridge_that_hangs_costs_no_page(postgres_url, tmp_path):
    """What was written last is shown with a note, and how old it is; none of it is an error. Lists go on."""
    with bridges(postgres_url, tmp_path) as (one, two), training(one.grpc):
        until_true(lambda: session_at(two.http)["batches"] == 10, what="two shows what one has")
        one.process.send_signal(signal.SIGSTOP)
        try:
            for path in PATHS:
                status, headers, text = get(two.http, path)
                assert status in (200, 404), (path, text)  # what was never written is not there
                if "sessions/run" in path and status == 200:
                    assert int(headers[STALE]) >= 0
            assert "which has this session, does not answer." in get(two.http, "/sessions/run")[2]
            assert session_at(two.http)["stale_seconds"] >= 0
        finally:
            one.process.send_signal(signal.SIGCONT)
        until_true(lambda: session_at(two.http)["stale_seconds"] is None, what="one is back")


def test_nobody_else_is_believed(postgres_url, tmp_path):
    """A header of bridges that no bridge has signed is refused, whatever it says."""
    with bridges(postgres_url, tmp_path) as (one, _):
        for forged in ("x", "e30.00", f"e30.{'0' * 64}", "a" * 7_900):
            status, _, text = get(one.http, "/", **{"trainbridge-forwarded": forged})
            assert status == 403, text
            assert "does not prove it" in text
