"""The container image: built from the Dockerfile as it is, run as a careful operator runs it, and looked into.

`make test-image` runs this; `make test` does not, as it needs root, buildah, podman and some minutes.
"""

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path, PurePosixPath

import pytest
from image.container import LOCKED, OPEN, STATE, TEMPORARY, Doors, once, running, volume
from support.jpegs import jpeg
from support.tools import ROOT, tool
from support.waiting import until_true

from bridge import __version__
from bridge.client import TrainingSession
from bridge.config.settings import Settings

# A base that must be made first takes its time.
pytestmark = pytest.mark.timeout(600)

UID = 65532
GRACE_SECONDS = Settings.model_fields["shutdown_grace_seconds"].default
OWN_BYTES_LIMIT = 200_000_000
"""What our layers may add to the base: 192 MB, of which SQLAlchemy, Alembic and psycopg with libpq are 45."""

PORTS = {"grpc": 50051, "http": 8080}
LOOK = Path(__file__).with_name("looking.py").read_text()

EXPECTED = re.compile(
    r"opt/trainbridge/.+|var/lib/trainbridge|etc/(passwd|group)"
    # Bytecode of the standard library; what takes pip and ensurepip away.
    r"|usr/(local/)?lib/python3[.\d]*/([\w.-]+/)*__pycache__/[\w.-]+\.pyc"
    r"|usr/(local/)?(bin|lib/python3[.\d]*(/site-packages)?)/\.wh\.(pip[\w.-]*|ensurepip)"
    # What was setuid; what was open to everybody.
    r"|usr/s?bin/(chage|chfn|chsh|expiry|gpasswd|mount|newgrp|passwd|su|umount|unix_chkpwd)"
    r"|run/lock|tmp|var/tmp"
)
"""What our layers may have, folders on the way to it left out."""


@pytest.fixture(scope="module")
def inside(built):
    """Return what is found inside when nothing but the image's own modes keeps it from being written."""
    done = once(built.store, built.name, "-c", LOOK, options=("--entrypoint", "python"))
    assert done.status == 0, done.err
    return json.loads(done.out)


@pytest.fixture(scope="module")
def archive(built, tmp_path_factory):
    """Return the image as it would be pushed."""
    folder = tmp_path_factory.mktemp("saved")
    yield built.saved(folder)
    shutil.rmtree(folder)


def test_dockerfile_is_clean():
    """The linter hadolint finds nothing to say about the Dockerfile."""
    done = subprocess.run(
        [tool("hadolint"), "--no-color", ROOT / "Dockerfile"],
        capture_output=True,
        check=False,
        text=True,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_it_says_what_it_is(archive, built):
    """User, entry point, signal, ports, settings and labels are those of the documentation."""
    config = archive.config["config"]
    labels = {
        key.removeprefix("org.opencontainers.image."): value
        for key, value in config["Labels"].items()
    }
    variables = dict(word.split("=", 1) for word in config["Env"])

    assert config["User"] == f"{UID}:{UID}"
    assert (config["Entrypoint"], config["Cmd"]) == (["trainbridge"], ["serve"])
    assert config["StopSignal"] == "SIGTERM"
    assert set(config["ExposedPorts"]) == {f"{port}/tcp" for port in PORTS.values()}
    assert config["WorkingDir"] == variables["TRAINBRIDGE_STATE"] == STATE
    assert not config.get("Volumes")
    assert labels["title"] == "trainbridge"
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert labels["base.name"] == built.base
    assert labels["revision"]
    assert labels["description"]


def test_it_is_no_larger_than_it_must_be(archive, built, figures):
    """Our layers stay below a limit; libraries that nobody asked for would break it."""
    own = sum(added.size for added in archive.added())
    whole = built.store.inspect("image", built.name)["Size"]
    figures["size"] = f"{whole / 1e6:.0f} MB, of which {own / 1e6:.0f} MB are ours"

    assert own < OWN_BYTES_LIMIT


def test_its_layers_hold_nothing_else(archive):
    """Our layers have the bridge, its libraries, a user and a state folder, and no file of the machine that built it."""
    names = {added.name for added in archive.added()}
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}

    assert [name for name in sorted(names - folders) if not EXPECTED.fullmatch(name)] == []


def test_nothing_of_the_build_is_left(archive, built):
    """Neither files nor history have the settings of pip: addresses, proxies, certificates, tokens."""
    secrets = built.pip.secrets
    texts = "\n".join(archive.texts())

    assert [secret for secret in secrets if secret in texts] == []
    assert [
        (added.name, secret)
        for added in archive.added()
        for secret in secrets
        if secret.encode() in added.content
    ] == []
    assert not re.search(r"PIP_(INDEX|EXTRA|FIND|CERT|PROXY|TRUSTED)|_proxy=", texts, re.IGNORECASE)


def test_libraries_are_the_pinned_ones(inside):
    """What is installed stands in constraints.txt, in the same version, and nothing is installed besides."""
    pinned = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    )
    expected = {_plain(name): version for name, version in pinned.items()}
    installed = {_plain(name): version for name, version in inside["installed"].items()}

    assert installed.pop("trainbridge") == __version__
    assert {"grpcio", "aiohttp", "minio", "pillow"} <= set(installed)
    assert {
        name: version for name, version in installed.items() if expected.get(name) != version
    } == {}


def test_nothing_inside_is_writable(inside):
    """Even without a read-only root, uid 65532 can write to /tmp and to the state folder only."""
    assert inside["ids"][:2] == [UID, UID]
    assert sorted(inside["writable"]) == [TEMPORARY, STATE]


def test_nothing_inside_installs_builds_or_rises(inside):
    """There is no pip, compiler, git or downloader, no wheel to install, and no program that runs as its owner."""
    assert inside["programs"] == inside["modules"] == inside["wheels"] == inside["setuid"] == []


def test_nothing_is_compiled_at_start(inside):
    """All modules have bytecode: a root that cannot be written to costs no time at each start and health check."""
    assert inside["uncompiled"] == []


def test_it_tells_its_version(built):
    """`trainbridge --version` is what the label says."""
    done = once(built.store, built.name, "--version")

    assert (done.status, done.out) == (0, f"trainbridge {__version__}\n")


def test_health_check_tells_three_cases_apart(built):
    """0: ready; 1: no bridge answers; 2: its arguments are wrong."""
    assert once(built.store, built.name, "healthcheck").status == 1
    assert once(built.store, built.name, "healthcheck", "--url", "nowhere").status == 2
    with (
        volume(built.store) as state,
        running(built.store, built.name, f"--volume={state}:{STATE}") as box,
    ):
        asked = box.execute("trainbridge", "healthcheck")

    assert (asked.status, asked.out) == (0, "ready\n")


def test_it_has_no_rights(built):
    """The process is 65532, without capabilities, and can gain none; it listens on every interface by itself."""
    with (
        volume(built.store) as state,
        running(built.store, built.name, f"--volume={state}:{STATE}") as box,
    ):
        status = box.execute("cat", "/proc/1/status").out
        sockets = box.execute("cat", "/proc/net/tcp", "/proc/net/tcp6").out
        command = box.execute("cat", "/proc/1/cmdline").out
    rights = dict(re.findall(r"^(\w+):\t(.*)$", status, re.MULTILINE))
    listening = set(re.findall(r": 0+:([0-9A-F]{4}) \S+ 0A ", sockets))

    assert rights["Uid"].split() == rights["Gid"].split() == [str(UID)] * 4
    assert {
        int(rights[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")
    } == {0}
    assert rights["NoNewPrivs"] == "1"
    assert listening == {f"{port:04X}" for port in PORTS.values()}
    assert "trainbridge" in command
    assert "sh" not in command.split("\0")[0].rpartition("/")[2]


def test_a_missing_volume_is_said(built):
    """With a read-only root and no volume the bridge ends at once, and says which folder it wants."""
    done = once(built.store, built.name, options=(*LOCKED, *OPEN))

    assert done.status == 1
    assert f"state: {STATE} cannot be written to" in done.err


def test_any_user_will_do(built, tmp_path):
    """An operator's own uid, unknown inside, works as long as it may write to the folder that is mounted."""
    user = 1_000_720_000
    os.chown(tmp_path, user, 0)
    options = ("--user", f"{user}:0", f"--volume={tmp_path}:{STATE}")
    with running(built.store, built.name, *options) as box:
        status, _ = box.terminate(GRACE_SECONDS)

    assert status == 0
    assert (tmp_path / "trainbridge.db").stat().st_uid == user


class Loop:
    """A training loop that goes on until it is stopped."""

    def __init__(self, session: TrainingSession) -> None:
        """Start, in a thread of its own."""
        self._session = session
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop after the batch at hand, and close the session; raises AssertionError for what was not delivered."""
        self._ending.set()
        self._thread.join(30)
        assert self._session.close() == 0

    def _run(self) -> None:
        batch = 0
        while not self._ending.wait(0.005):
            self._session.log_batch(
                1 / (batch + 1),
                epoch=batch // 500,
                batch=batch % 500,
                images=[jpeg()] * 4,
                predictions=[0, 1, 2, 3],
                ground_truth=[0, 1, 2, 2],
            )
            batch += 1


def test_a_stop_with_a_live_stream_loses_nothing(built, figures):
    """SIGTERM in mid-stream ends with status 0 within the grace, and the next container has all that was acknowledged.

    It takes the rest, too, counts nothing twice, and neither misses anything on the root that it cannot write to.
    """
    doors, everything = Doors(), ("--env", "TRAINBRIDGE_IMAGES_KEEP=all")
    session = TrainingSession(
        f"127.0.0.1:{doors.grpc}", session_id="live", model="m", batch_size=4, close_seconds=40
    )
    with volume(built.store) as state:
        options = (f"--volume={state}:{STATE}", *everything)
        with running(built.store, built.name, *options, doors=doors) as first:
            loop = Loop(session)
            until_true(
                lambda: session.stats.batches_acknowledged > 300, seconds=30, what="300 Acks"
            )
            status, took = first.terminate(GRACE_SECONDS)
            events = first.events()
        acknowledged = session.stats.snapshot()
        reported = session.stats.batches

        with running(built.store, built.name, *options, doors=doors) as second:
            # A session that was sent away has no series until it is back.
            kept = until_true(
                lambda: second.metrics_total("training_batches_total", session_id="live"),
                seconds=30,
                what="the loop is back",
            )
            until_true(
                lambda: session.stats.batches > reported + 100, seconds=30, what="the loop goes on"
            )
            loop.end()
            stats = session.stats
            counted = second.metrics_total("training_batches_total", session_id="live")
            images = second.metrics_total(
                "training_images_total", session_id="live", result="stored"
            )
            picture = second.get("/sessions/live/batches/0-0/0.jpg")
            again, _ = second.terminate(GRACE_SECONDS)
            events += second.events()
    figures["stop"] = f"{took:.1f} s with a live stream; the grace is {GRACE_SECONDS:g} s"

    assert (status, again) == (0, 0)
    assert took < GRACE_SECONDS
    assert acknowledged.batches_acknowledged > 300
    assert kept >= acknowledged.batches_acknowledged
    assert (stats.unacknowledged, stats.dropped, stats.refused) == (0, 0, 0)
    assert stats.connections >= 2
    assert counted == stats.batches == stats.batches_acknowledged
    assert images == stats.images_sent > 0
    assert picture == jpeg()
    assert [event for event in events if event["level"] != "info"] == []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
