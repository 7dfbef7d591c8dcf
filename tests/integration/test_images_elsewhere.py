"""Image links answer on every bridge that sees the store, whichever has received the session."""

import json
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import pytest
from support.bridges import RunningBridge, running_bridge
from support.buckets import bucket_behind_proxy, everything_is_stored, moto
from support.buckets import flags as bucket_flags
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire

BATCHES = 6


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to the test."""

    def redirect_request(self, *_args):
        """Follow none."""


def answer(bridge, path):
    """Return status, headers and body of a page, without following a redirect."""
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(f"http://{bridge.http}{path}", timeout=60) as response:
            return response.status, response.headers, response.read()
    except HTTPError as error:
        return error.code, error.headers, error.read()


def train(bridge, name, *, numbers=range(1, BATCHES + 1), status=wire.COMPLETED):
    """Send a run with images, and its end."""
    run = KnownRun(name, images_every=1)
    with RawClient(bridge.grpc, run, numbered=False) as client:
        assert client.register().success
        client.open()
        client.put([run.batch(number) for number in numbers])
        client.put([run.status(status)])
        client.finish()
    until_true(lambda: bridge.client.session(name).status != "running")
    return run


def places(bridge, name):
    """Return the batches with images that a bridge lists, by the API."""
    status, _, body = answer(bridge, f"/api/v1/sessions/{name}/images")
    assert status == 200
    return json.loads(body)["batches"]


def links_of(batch, name):
    """Return every kind of link that leads to the images of a batch."""
    epoch, number, at = batch["epoch"], batch["batch"], batch["received_ms"]
    image = batch["images"][0]
    page = f"/sessions/{name}/batches/{epoch}-{number}"
    go = f"/go/images?session={name}"
    cell = f"actual={image['true_class']}&predicted={image['predicted_class']}"
    return {
        page: 200,
        f"/sessions/{name}/attempts/1/batches/{epoch}-{number}": 200,
        f"{page}/0.jpg": 200,
        f"{page}/0.jpg?v=": 200,
        f"/sessions/{name}/latest/0.jpg": 200,
        f"/sessions/{name}/sheet.jpg": 200,
        f"/sessions/{name}/sheet.jpg?epoch={epoch}&batch={number}": 200,
        f"/api/v1{page}": 200,
        f"/api/v1/sessions/{name}/images": 200,
        f"{go}&at={at}&window_ms=1&prefer=max_loss": 302,
        f"{go}&at={at}&window_ms=15000&prefer=newest": 302,
        f"{go}&epoch={epoch}": 302,
        f"{go}&epoch={epoch}&batch={number}": 302,
        f"{go}&{cell}": 302,
        f"{go}&{cell}&from={at - 1000}&to={at + 1000}": 302,
        f"{go}&from={at - 1000}&to={at + 1000}&attempt=1": 302,
        go: 302,
    }


def without_time(body):
    """Return the JSON of a batch as every bridge gives it."""
    record = json.loads(body)
    for name in ("url", "around", "images_received", "previous_with_images", "next_with_images"):
        record.pop(name)
    for image in record["images"]:
        for name in ("url", "batch_url"):
            image.pop(name)
    return record


@dataclass(frozen=True)
class Shared:
    """Bridges that see the same store, and the flags that make another one see it."""

    first: RunningBridge
    second: RunningBridge
    flags: tuple[str, ...]
    folder: Path

    def fresh(self, name, *flags):
        """Start a bridge that has never seen anything."""
        return running_bridge(self.folder / name, *self.flags, *flags)


@pytest.fixture(scope="module", params=["folder", "s3"])
def shared(request, tmp_path_factory):
    """Return a bridge that has received a run, and one that ran beside it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with ExitStack() as stack:
        flags = ("--images-store", (folder / "store").as_uri(), "--images-keep", "all")
        if request.param == "s3":
            server = stack.enter_context(moto())
            _, proxy = stack.enter_context(bucket_behind_proxy(server))
            flags = bucket_flags(server, proxy)
        first = stack.enter_context(running_bridge(folder / "first", *flags))
        second = stack.enter_context(running_bridge(folder / "second", *flags))
        for name in ("run-1", "run-2"):
            train(first, name)
        until_true(lambda: everything_is_stored(first))
        yield Shared(first, second, flags, folder)


def check_links(here, there, name="run-1"):
    """Check that every kind of link leads to the same on both bridges."""
    listed = places(here, name)
    assert len(listed) == BATCHES
    assert [labels(one) for one in places(there, name)] == [labels(one) for one in listed]
    for link, status in links_of(listed[2], name).items():
        own, other = answer(here, link), answer(there, link)
        assert (own[0], other[0]) == (status, status), link
        assert own[1].get("Location") == other[1].get("Location"), link
        if ".jpg" in link:
            assert own[2] == other[2], link
            assert own[2].startswith(b"\xff\xd8")
        if "/api/" in link and "/batches/" in link:
            assert without_time(own[2]) == without_time(other[2])
    for image in listed[0]["images"]:
        path = f"/{image['url'].partition('//')[2].partition('/')[2]}"
        assert answer(here, path)[2] == answer(there, path)[2]


def labels(batch):
    """Return what was predicted of the images of a batch, in words."""
    return [
        (batch["epoch"], batch["batch"], image["predicted_label"], image["true_label"])
        for image in batch["images"]
    ]


def test_every_kind_of_link_answers_on_a_bridge_that_ran_beside_it(shared):
    """The same batch, the same labels, the same bytes, and the same place that a link leads to."""
    check_links(shared.first, shared.second)
    assert b"has no numbers of this session" in answer(shared.second, "/sessions/run-1")[2]
    assert answer(shared.second, "/sessions/run-3")[0] == 404


def test_every_kind_of_link_answers_on_a_bridge_that_has_just_begun(shared):
    """One with a new state folder, and one that keeps nothing: they have no row of any session."""
    with (
        shared.fresh("fresh") as fresh,
        shared.fresh("memory", "--state", "memory") as memory,
    ):
        check_links(shared.first, fresh)
        check_links(shared.first, memory)


def test_a_deleted_session_is_gone_with_its_images_and_not_without(shared):
    """Images that were to stay are shown as those of a session without numbers; those deleted are nowhere."""
    first = shared.first
    assert answer(shared.second, "/sessions/run-2/batches/1-1/0.jpg")[0] == 200
    train(first, "run-4")
    until_true(lambda: everything_is_stored(first))
    first.client.delete_session("run-4")
    first.client.delete_session("run-2", images=True)
    until_true(lambda: first.total("bridge_deletions_pending") == 0)
    until_true(lambda: first.total("bridge_sessions_deleted_total") == 2)

    assert answer(first, "/sessions/run-2")[0] == 404
    assert answer(first, "/sessions/run-2/batches/1-1/0.jpg")[0] == 404
    assert answer(shared.second, "/sessions/run-2/batches/1-1/0.jpg")[0] == 404
    assert b"has no numbers of this session" in answer(first, "/sessions/run-4")[2]
    assert answer(first, "/sessions/run-4/batches/1-1/0.jpg")[0] == 200
