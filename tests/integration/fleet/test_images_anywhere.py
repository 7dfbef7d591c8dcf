"""Images that lie on one bridge's disk alone: each bridge shows them, says where they are, or that they are lost."""

import json
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from support.fleet.member import running_pair
from support.jpegs import jpeg
from support.waiting import until_true

from bridge.client import TrainingSession

BATCHES = 6

FLAGS = (
    *("--images-keep", "all", "--shard-seconds", "3600"),
    *("--bridge-dead-seconds", "5", "--bridge-forget-seconds", "8"),
)


def picture(number):
    """Return the image of a batch."""
    return jpeg(16, 16, 40 + number)


@pytest.fixture
def pair(tmp_path, postgres_url):
    """Yield two bridges that run on one database, with one store."""
    with running_pair(tmp_path, postgres_url, *FLAGS) as members:
        yield members


@contextmanager
def train(member):
    """Send a few batches with an image each, all of them acknowledged, and leave."""
    with TrainingSession(
        member.server.grpc, session_id="run", model="m", class_names=["a", "b"]
    ) as session:
        for number in range(BATCHES):
            session.log_batch(0.5, epoch=1, batch=number, images=[picture(number)], predictions=[1])
        session.flush()
        yield session


def get(member, path, **headers):
    """Return status and body of an answer."""
    request = urllib.request.Request(f"http://{member.server.http}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def listed(member):
    """Return the images that a bridge lists, by batch."""
    status, body = get(member, "/api/v1/sessions/run/images")
    batches = json.loads(body)["batches"] if status == 200 else []
    return {one["batch"]: image for one in batches for image in one["images"]}


def shown(member):
    """Return what a bridge shows in place of each image."""
    return [
        get(member, f"/sessions/run/batches/1-{number}/0.jpg", Accept="image/*")
        for number in range(BATCHES)
    ]


def count(member, result):
    """Return how many images a bridge has counted with a result."""
    _, body = get(member, "/metrics")
    lines = [
        line
        for line in body.decode().splitlines()
        if line.startswith("training_images_total{") and f'result="{result}"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


PICTURES = [(200, picture(number)) for number in range(BATCHES)]


def test_each_bridge_shows_what_lies_on_one_disk(pair):
    """While their shard is open, and once its bridge was killed and is back; meanwhile it is said where they are."""
    one, two = pair
    with train(one):
        until_true(lambda: len(listed(two)) == BATCHES)
        assert not any(image["in_store"] for image in listed(two).values())
        assert shown(two) == shown(one) == PICTURES
        assert get(two, "/sessions/run/sheet.jpg?batch=1-0")[0] == 200
        one.kill()
        for status, body in shown(two):
            assert status == 404
            assert b"which does not answer" in body
        assert get(two, "/sessions/run/batches/1-0")[0] == 200
        assert get(two, "/sessions/run/sheet.jpg?batch=1-0")[0] == 200
        one.start()
        until_true(lambda: shown(two) == PICTURES)


def test_a_lost_node_takes_its_images_along_and_nothing_else(pair):
    """Each is counted once, and its place says so; the numbers are those that were acknowledged."""
    one, two = pair
    with train(one):
        until_true(lambda: len(listed(two)) == BATCHES)
        one.lose_node()
    until_true(lambda: count(two, "lost") == BATCHES)
    assert count(two, "stored") == BATCHES
    assert all(image["is_lost"] for image in listed(two).values())
    for status, body in shown(two):
        assert status == 404
        assert b"Lost with bridge" in body
    status, body = get(two, "/sessions/run/batches/1-0")
    assert (status, b"All of these images are lost" in body) == (200, True)
