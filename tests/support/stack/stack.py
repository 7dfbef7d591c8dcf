"""Starts the parts of the stack one after the other, each when those that it needs are ready."""

import json
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from support.stack.configuration import write_alertmanager, write_prometheus
from support.stack.ports import Addresses
from support.stack.programs import StackError
from support.swift import swift
from support.tools import HOW_TO_GET, found

from bridge.storage.stores import open_store

BUCKET = "s3://training-images"


@dataclass(frozen=True)
class Options:
    """What to start, and where."""

    folder: Path
    addresses: Addresses
    store: str
    demo: list[str]
    scrape_seconds: int
    has_quick_alerts: bool
    pauses: bool = False
    """Whether a run that diverges is paused by its alert."""


@dataclass(frozen=True)
class ImageStore:
    """Where images are: the flags of the bridge, and how to say it."""

    flags: tuple[str, ...]
    place: str


@contextmanager
def image_store(options):
    """Yield where images go, for as long as the block lasts: a folder, or a bucket of an S3 server that runs meanwhile."""
    if options.store == "folder":
        yield ImageStore((), str(options.folder / "state" / "images"))
        return
    if found("swift-python") is None:
        raise StackError(f"Swift is not installed here; {HOW_TO_GET}")
    with swift(options.folder / "swift") as server:
        keys = {"access_key": server.access_key, "secret_key": server.secret_key}
        open_store(BUCKET, endpoint=server.endpoint, **keys)._client.make_bucket("training-images")
        flags = (
            *("--images-store", f"{BUCKET}/runs", "--s3-endpoint", server.endpoint),
            *("--s3-access-key", server.access_key, "--s3-secret-key", server.secret_key),
        )
        yield ImageStore(flags, f"{BUCKET}/runs at {server.endpoint}")


def start(options, store, programs, say):
    """Start everything; raises StackError, with what to do, if a part is missing or does not start."""
    missing = [name for name in ("prometheus", "prometheus-alertmanager") if found(name) is None]
    if missing:
        raise StackError(f"not installed here: {', '.join(missing)}; {HOW_TO_GET}")
    urls = options.addresses.as_urls()
    for name, command, path in (
        ("bridge", _bridge(options, store), "/readyz"),
        ("alertmanager", _alertmanager(options), "/-/ready"),
        ("prometheus", _prometheus(options), "/-/ready"),
    ):
        say(f"  {name}: {urls[name]}/")
        programs.start(name, *command)
        programs.wait_for(f"{name} is ready", partial(_answers, urls[name] + path))
    say("  trainer: a run that trains for real")
    programs.start("trainer", *_trainer(options))
    say("  the first scrape of each target")
    programs.wait_for("every target is up", partial(_are_up, urls["prometheus"]))


def _bridge(options, store):
    addresses = options.addresses
    return (
        *(sys.executable, "-m", "bridge", "serve", "--log-format", "text"),
        *("--grpc-address", addresses.grpc, "--http-address", addresses.bridge),
        *("--state", options.folder / "state", *store.flags),
        *(("--alert-commands", "pause") if options.pauses else ()),
    )


def _alertmanager(options):
    return (
        found("prometheus-alertmanager"),
        f"--config.file={write_alertmanager(options.folder, options.addresses)}",
        f"--storage.path={options.folder / 'alertmanager'}",
        f"--web.listen-address={options.addresses.alertmanager}",
        f"--web.external-url={options.addresses.as_urls()['alertmanager']}/",
        "--cluster.listen-address=",  # one alone needs no port for others of its kind
    )


def _prometheus(options):
    file = write_prometheus(
        options.folder,
        options.addresses,
        scrape_seconds=options.scrape_seconds,
        has_quick_alerts=options.has_quick_alerts,
        pauses=options.pauses,
    )
    return (
        *(found("prometheus"), f"--config.file={file}", "--enable-feature=exemplar-storage"),
        f"--storage.tsdb.path={options.folder / 'prometheus'}",
        f"--web.listen-address={options.addresses.prometheus}",
        # What links in alerts begin with: otherwise the name of this machine, where nothing listens.
        f"--web.external-url={options.addresses.as_urls()['prometheus']}/",
    )


def _trainer(options):
    addresses = options.addresses
    return (
        *(sys.executable, "-m", "bridge", "demo", "--address", addresses.grpc),
        *("--bridge-url", addresses.as_urls()["bridge"], *options.demo),
    )


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 -- loopback
            return response.status == 200
    except OSError:
        return False


def _are_up(prometheus):
    """Return whether there are targets, and Prometheus has scraped each of them."""
    url = f"{prometheus}/api/v1/targets?state=active"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 -- loopback
        targets = json.load(answer)["data"]["activeTargets"]
    return bool(targets) and all(target["health"] == "up" for target in targets)
