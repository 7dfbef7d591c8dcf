"""A campaign: clients train through faults that come one after the other, and everything is compared at the end."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from support.fleet.clients import training_clients
from support.fleet.fleet import Fleet
from support.fleet.pages import watching_pages
from support.fleet.scraped import read_scraped
from support.fleet.verdict import Limits, Line, judge
from support.jpegs import jpeg
from support.prometheus import SCRAPE_SECONDS, running_prometheus

WARM_UP_SECONDS = 3.0
LAST_SCRAPES = 3
SEED = 15_2026

Faults = Callable[["Campaign"], None]
"""Goes on until `Campaign.is_over`, and leaves every bridge ready."""


@dataclass
class Campaign:
    """What faults are given."""

    fleet: Fleet
    seconds: float
    chance: random.Random
    ahead_seconds: float = 0.0
    """So much of the calm before the first fault of each kind is left out, as a short campaign needs none."""
    _ends: float = 0.0
    faults: int = 0
    """Faults so far."""

    def begin(self) -> None:
        """Start the clock."""
        self._ends = time.monotonic() + self.seconds

    @property
    def is_over(self) -> bool:
        """Return whether no new fault is to come."""
        return time.monotonic() >= self._ends

    def wait(self, seconds: float) -> None:
        """Let the fleet be for some time, or until the end."""
        time.sleep(max(0.0, min(seconds, self._ends - time.monotonic())))


def run_campaign(
    fleet: Fleet,
    folder: Path,
    faults: Sequence[Faults],
    *,
    seconds: float,
    sdk: int = 6,
    original: int = 6,
    rate: float = 10.0,
    images_every: int = 10,
    ahead_seconds: float = 0.0,
    limits: Limits | None = None,
) -> tuple[Campaign, list[Line]]:
    """Train through the faults, side by side, for so many seconds; return how many there were, and what holds."""
    campaign = Campaign(fleet, seconds, random.Random(SEED), ahead_seconds)
    with ExitStack() as stack:
        began = time.time()
        targets = [member.server.http for member in fleet.members]
        prometheus = stack.enter_context(running_prometheus(folder, targets))
        clients = stack.enter_context(
            training_clients(
                folder / "clients",
                fleet.proxy.grpc,
                sdk=sdk,
                original=original,
                rate=rate,
                images_every=images_every,
                jpeg=jpeg(),
            )
        )
        time.sleep(WARM_UP_SECONDS)
        with watching_pages(fleet, clients.names) as pages:
            campaign.begin()
            _suffer(campaign, faults)
            clients.finish()
        time.sleep(LAST_SCRAPES * SCRAPE_SECONDS)
        scraped = read_scraped(prometheus, began)
        return campaign, judge(fleet, clients, pages=pages, scraped=scraped, limits=limits)


def _suffer(campaign: Campaign, faults: Sequence[Faults]) -> None:
    """Run all faults side by side; what the first one raises is raised."""
    errors: list[Exception] = []

    def run(fault: Faults) -> None:
        try:
            fault(campaign)
        except Exception as error:  # noqa: BLE001 -- raised in the thread of the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(fault,)) for fault in faults]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    campaign.wait(campaign.seconds)
    if errors:
        raise errors[0]
