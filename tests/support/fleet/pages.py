"""Somebody who looks at the pages of every live bridge all the time, and notes when one does not answer."""

import http.client
import itertools
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.fleet.interruptions import Interruption, Interruptions

ROUND_SECONDS = 0.5
AGAIN_SECONDS = 0.1
ANSWER_SECONDS = 5.0

PAGES = ("/", "/sessions/{name}", "/api/v1/sessions/{name}", "/metrics")


@dataclass
class Pages:
    """What was found so far."""

    asked: int = 0
    slowest_seconds: float = 0.0
    failures: dict[str, int] = field(default_factory=dict)
    """How often a live bridge did not answer with 200, by what it did instead."""
    interruptions: list[Interruption] = field(default_factory=list)
    """When a live bridge did not answer a page with 200, however often it was asked."""


@contextmanager
def watching_pages(fleet, names):
    """Ask every live bridge of a fleet for its pages until the block ends, with a thread for each bridge."""
    pages, ended = Pages(), threading.Event()
    threads = [
        threading.Thread(target=_watch, args=(pages, member, names, ended), daemon=True)
        for member in fleet.members
    ]
    for thread in threads:
        thread.start()
    try:
        yield pages
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)


def _watch(pages, member, names, ended):
    sessions = itertools.cycle(names)
    while not ended.wait(ROUND_SECONDS):
        name = next(sessions)
        for page in PAGES:
            _insist(pages, member, page.format(name=name), ended)


def _insist(pages, member, path, ended):
    """Ask for one page until it is there, or its bridge is not live any more: then nothing was promised."""
    bridge, unanswered = member.bridge, Interruptions()
    while bridge is not None and not ended.is_set():
        began, started = time.time(), time.monotonic()
        found = _status(bridge.http, path)
        if member.bridge is not bridge:
            return
        pages.asked += 1
        pages.slowest_seconds = max(pages.slowest_seconds, time.monotonic() - started)
        if found == "200":
            unanswered.end(time.time())
            break
        pages.failures[found] = pages.failures.get(found, 0) + 1
        unanswered.begin(began, f"{member.name} {path}: {found}")
        unanswered.begin(time.time(), f"{member.name} {path}: {found}")
        ended.wait(AGAIN_SECONDS)
    pages.interruptions += unanswered.closed()


def _status(address, path):
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
    return str(response.status)
