"""Image links answer on every bridge that sees the store, whichever has received the session."""

import json
import urllib.request
from urllib.error import HTTPError

import pytest
from support.bridges import running_bridge
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
        with opener.open(f"http://{bridge.http}{path}", timeout=30) as response:
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
        image.pop("url")
    return record


@pytest.fixture(scope="module")
def bridges(tmp_path_factory):
    """Return a bridge that has received a run, one that ran beside it, and one without a state of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    flags = ("--images-store", (folder / "store").as_uri(), "--images-keep", "all")
    with (
        running_bridge(folder / "first", *flags) as first,
        running_bridge(folder / "second", *flags) as second,
    ):
        run = train(first, "run-1")
        until_true(lambda: [*(folder / "store" / "run-1").rglob("*.tar")])
        yield first, second, run, folder


def test_every_kind_of_link_answers_on_the_other_bridge(bridges):
    """The same batch, the same labels, the same bytes, and the same place that a link leads to."""
    first, second, _, _ = bridges
    listed = places(first, "run-1")
    assert len(listed) == BATCHES
    assert [one["images"][0]["predicted_label"] for one in places(second, "run-1")] == [
        one["images"][0]["predicted_label"] for one in listed
    ]
    for link, status in links_of(listed[2], "run-1").items():
        here, there = answer(first, link), answer(second, link)
        assert (here[0], there[0]) == (status, status), link
        assert here[1].get("Location") == there[1].get("Location"), link
        if ".jpg" in link:
            assert here[2] == there[2], link
            assert here[2].startswith(b"\xff\xd8")
        if "/api/" in link and "/batches/" in link:
            assert without_time(here[2]) == without_time(there[2])
