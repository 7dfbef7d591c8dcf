"""A bridge in a container that may do next to nothing, as a careful operator runs it."""

import json
import socket
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from image.store import LIMITS, Finished, Store
from prometheus_client.parser import text_string_to_metric_families
from support.waiting import until_true

TEMPORARY = "/tmp"  # noqa: S108 -- the container's, which is its own

LOCKED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs",
    TEMPORARY,
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
)
"""Nothing can be written but /tmp and the volume; podman by itself would add /run, /var/tmp and more."""

OPEN = ("--env", "TRAINBRIDGE_ALLOW_ANONYMOUS=true")
"""Nothing else says who may come in, and without a word of either kind the image does not start."""

STATE = "/var/lib/trainbridge"


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclass(frozen=True)
class Container:
    """A container that runs, or ran."""

    store: Store
    name: str
    http: str = ""

    def execute(self, *words: str) -> Finished:
        """Run a command inside, with what the container itself may do."""
        return self.store.tried("exec", self.name, *words)

    def metrics_total(self, name: str, /, **labels: str) -> float:
        """Add up the samples of a series on /metrics that have the labels given."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def get(self, path: str) -> bytes:
        """Return the body of a page."""
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=30) as answer:
            return answer.read()

    def is_ready(self) -> bool:
        """Ask the bridge inside whether it is ready; raises AssertionError once it has ended."""
        state = self.store.inspect("container", self.name)["State"]
        assert state["Status"] != "exited", self.logs()
        return self.execute("trainbridge", "healthcheck").status == 0

    def terminate(self, seconds: float) -> tuple[int, float]:
        """Send SIGTERM; return the exit status and how long it took."""
        begun = time.monotonic()
        self.store.podman("kill", "--signal", "TERM", self.name)
        status = self.store.podman("wait", self.name, seconds=seconds)
        return int(status), time.monotonic() - begun

    def logs(self) -> str:
        """Return everything the container has written."""
        done = self.store.tried("logs", self.name)
        return done.out + done.err

    def events(self) -> list[dict]:
        """Return what the bridge has logged, each line of which is JSON."""
        return [json.loads(line) for line in self.logs().splitlines()]


@dataclass(frozen=True)
class Doors:
    """Where a bridge of this machine's network is to listen; the same over restarts."""

    grpc: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of podman for them."""
        variables = {"GRPC": self.grpc, "HTTP": self.http}
        settings = [
            f"TRAINBRIDGE_{name}_ADDRESS=127.0.0.1:{port}" for name, port in variables.items()
        ]
        return ("--network", "host", *(word for value in settings for word in ("--env", value)))


def clear(store: Store) -> None:
    """Remove what a run that was killed has left in our store, where it would go on and hold its image."""
    until_true(partial(_is_cleared, store), seconds=60, what="no container is left")
    store.podman("volume", "prune", "--force")
    store.buildah("rm", "--all")


def _is_cleared(store: Store) -> bool:
    # Those that others depend on go only after these.
    store.tried("rm", "--all", "--force", "--volumes", "--time", "0")
    return not store.podman("ps", "--all", "--quiet")


@contextmanager
def volume(store: Store) -> Iterator[str]:
    """Make an empty volume, and remove it with the block."""
    name = f"image-test-{uuid.uuid4().hex[:8]}"
    store.podman("volume", "create", name)
    try:
        yield name
    finally:
        store.podman("volume", "rm", "--force", name)


def once(store: Store, image: str, *words: str, options: tuple[str, ...] = ()) -> Finished:
    """Run a command of the image to its end, or for half a minute, without a network; `options` are podman's."""
    alone = ("--rm", "--pull=never", "--timeout", "30", "--network", "none", *LIMITS)
    return store.tried("run", *alone, *options, image, *words)


@contextmanager
def running(
    store: Store, image: str, *options: str, doors: Doors | None = None
) -> Iterator[Container]:
    """Start the image as it is, locked, and wait until it is ready; remove it with the block."""
    name = f"image-test-{uuid.uuid4().hex[:8]}"
    network = doors.words if doors else ("--network", "none")
    http = f"127.0.0.1:{doors.http}" if doors else ""
    container = Container(store, name, http)
    try:
        store.podman("run", "--detach", "--name", name, "--pull=never", *LIMITS, *LOCKED,
                      *OPEN, *network, *options, image)  # fmt: skip  # flags beside their values
        until_true(container.is_ready, seconds=60, what="the bridge in the container is ready")
        yield container
    finally:
        store.tried("rm", "--force", "--time", "0", name)
