"""A broken object store is noticed by nobody but those who look at old images."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.error import HTTPError

import pytest
from minio.error import S3Error
from support import checks
from support.bridges import running_bridge
from support.buckets import (
    BUCKET,
    bucket_behind_proxy,
    everything_is_stored,
    failures,
    flags,
    is_up,
    moto,
)
from support.known_run import KnownRun
from support.otlp import receiving
from support.raw_client import RawClient
from support.raw_loops import NumberedLoop
from support.swift import swift
from support.waiting import until_true

ALERT_SECONDS = 60
"""So long after a fault the series that alerts read have moved."""

ACK_SECONDS = 10.0
CATCH_UP_SECONDS = 60
PAGES_SECONDS = 15.0


@pytest.fixture(scope="module")
def moto_server():
    """Run moto's server once for all tests here."""
    with moto() as server:
        yield server


def goes_on(bridge, loop, receiver, *, seconds):
    """See Acks, series and spans arriving for a while, as if there were no store."""
    name, ends = loop.run_of.session_id, time.monotonic() + seconds
    spans = len(receiver.named("training.epoch"))
    batches = bridge.total("training_batches_total", session_id=name)
    while time.monotonic() < ends:
        acknowledged = loop.client.acknowledged
        until_true(
            lambda: loop.client.acknowledged > acknowledged,  # noqa: B023 -- it is called here
            seconds=ACK_SECONDS,
            what="Acks go on arriving",
        )
    assert bridge.total("training_batches_total", session_id=name) > batches
    until_true(lambda: len(receiver.named("training.epoch")) > spans, what="spans go on arriving")


def remove_bucket(client):
    """Remove the bucket with what a check of the connection may have put there a moment ago."""

    def is_removed():
        for found in client.list_objects(BUCKET, recursive=True):
            client.remove_object(BUCKET, found.object_name)
        with suppress(S3Error):
            client.remove_bucket(BUCKET)
        return not client.bucket_exists(BUCKET)

    until_true(is_removed)


FAULTS = {
    "its bucket is deleted": (
        lambda client, _: remove_bucket(client),
        lambda client, _: client.make_bucket(BUCKET),
    ),
    "it refuses": (lambda _, proxy: proxy.refuse(), lambda _, proxy: proxy.pass_on()),
    "it answers 500": (lambda _, proxy: proxy.answer(500), lambda _, proxy: proxy.pass_on()),
    "it takes no key": (lambda _, proxy: proxy.answer(403), lambda _, proxy: proxy.pass_on()),
    "it hangs": (lambda _, proxy: proxy.freeze(), lambda _, proxy: proxy.pass_on()),
}
"""How each begins and ends; the first one before anything is in the bucket."""


def test_nothing_but_the_upload_notices_a_broken_store(moto_server, tmp_path):
    """One fault after the other on one bridge: Acks, series and spans go on, and images wait.

    Alerts fire, the store is left in peace, and it is caught up with each time without a restart.
    """
    run = KnownRun("run", epoch_batches=30, samples=1, images_every=3)
    with (
        bucket_behind_proxy(moto_server) as (client, proxy),
        receiving("grpc") as receiver,
        running_bridge(
            tmp_path / "state", *flags(moto_server, proxy), "--otlp-endpoint", receiver.url
        ) as bridge,
    ):
        loop = NumberedLoop(RawClient(bridge.grpc, run), batches_per_second=60)
        for name, (begin, end) in FAULTS.items():
            begin(client, proxy)
            began, failed, asked = time.monotonic(), failures(bridge), len(proxy.requests)
            if not loop.is_alive():
                loop.start()
            what = f"the alerts show that {name}"
            until_true(lambda: not is_up(bridge), seconds=ALERT_SECONDS, what=what)
            goes_on(bridge, loop, receiver, seconds=3)
            took = time.monotonic() - began
            if name != "it hangs":
                assert failures(bridge) > failed
            # Two uploads may have been under way when it began, and two begin before it shows.
            assert failures(bridge) - failed <= took + 4, name
            assert len(proxy.requests) - asked <= took + 4, name
            assert bridge.total("bridge_spool_bytes") > 0
            end(client, proxy)
            until_true(
                lambda: is_up(bridge), seconds=CATCH_UP_SECONDS, what=f"it is over that {name}"
            )
        loop.stop()

        until_true(lambda: everything_is_stored(bridge), seconds=CATCH_UP_SECONDS)
        sent = checks.Sent.whole(run, loop.batches)
        checks.check(bridge, sent, keeps_all=True)
        checks.check_spans(receiver, sent)
        checks.check_log(bridge)


def test_after_an_outage_the_newest_images_come_first(moto_server, tmp_path):
    """Two of three uploads are of the newest shards, so that the present is visible soon."""
    run = KnownRun("run", epoch_batches=2, samples=1)
    with (
        bucket_behind_proxy(moto_server) as (_, proxy),
        running_bridge(tmp_path / "state", *flags(moto_server, proxy)) as bridge,
        RawClient(bridge.grpc, run) as client,
    ):
        proxy.answer(503)
        client.start()
        client.stream(*run.requests(1, 80))
        until_true(lambda: not is_up(bridge), seconds=ALERT_SECONDS)
        before = len(proxy.requests)
        proxy.pass_on()
        until_true(lambda: everything_is_stored(bridge), seconds=CATCH_UP_SECONDS)

    paths = [path for _, what, path in proxy.requests[before:] if what == "PUT"]
    oldest, newest = sorted(paths)[:20], sorted(paths)[20:]
    assert (
        len(set(paths)) == len(paths) >= 36
    )  # a few may have been stored by the last tries before
    assert sum(map(paths.index, newest)) / len(newest) < sum(map(paths.index, oldest)) / len(oldest)


def test_a_wrong_key_costs_nothing_either(tmp_path):
    """A store that checks signatures refuses the bridge, which is then given the right key."""
    run = KnownRun("run", epoch_batches=10, samples=2)
    state = tmp_path / "state"
    with (
        swift(tmp_path / "swift") as server,
        bucket_behind_proxy(server) as (_, proxy),
    ):
        with running_bridge(state, *flags(server, proxy, secret="guessed")) as bridge:
            loop = NumberedLoop(RawClient(bridge.grpc, run), batches_per_second=60)
            loop.start()
            until_true(lambda: failures(bridge) >= 2, seconds=ALERT_SECONDS)
            assert not is_up(bridge)
            loop.stop()
            assert bridge.stop() == 0
            assert "guessed" not in bridge.log.read_text()

        with running_bridge(state, *flags(server, proxy)) as bridge:
            until_true(lambda: everything_is_stored(bridge), seconds=CATCH_UP_SECONDS)
            shown = checks.index_of(bridge, run)
            assert len(shown) == loop.batches * run.samples
            for (_, number, position), url in shown.items():
                assert bridge.get(url) == run.images(number)[position]


def test_old_images_that_hang_hold_up_nothing_else(moto_server, tmp_path):
    """Whoever looks at them waits for the store; scrapes and pages do not, however many look."""
    run = KnownRun("run", epoch_batches=2, samples=4)
    with (
        bucket_behind_proxy(moto_server) as (_, proxy),
        running_bridge(tmp_path / "state", *flags(moto_server, proxy)) as bridge,
        RawClient(bridge.grpc, run) as client,
    ):
        client.start()
        client.stream(*run.requests(1, 10))
        until_true(lambda: everything_is_stored(bridge), seconds=CATCH_UP_SECONDS)
        old = checks.index_of(bridge, run).values()
        with ThreadPoolExecutor(len(old)) as viewers, frozen(proxy):
            before = proxy.connections
            for path in old:
                viewers.submit(look_at, bridge, path)
            until_true(lambda: proxy.connections > before, what="images are read from the store")
            began = time.monotonic()
            bridge.get("/metrics", **{"Accept-Encoding": "gzip"})
            bridge.get("/")
            took = time.monotonic() - began

    assert took < PAGES_SECONDS


@contextmanager
def frozen(proxy):
    """Have the store hang until the block is left."""
    proxy.freeze()
    try:
        yield
    finally:
        proxy.pass_on()


def look_at(bridge, path):
    """Ask for an image, which may not come."""
    with suppress(HTTPError):
        bridge.get(path)
