"""Compares everything that clients have sent with what every bridge, its pages, its images and Prometheus show of it."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from support.bridges import RunningBridge
from support.checks import Sent
from support.fleet.clients import Clients, OriginalLedger, SdkLedger
from support.fleet.fleet import Fleet
from support.fleet.interruptions import longest
from support.fleet.pages import Pages
from support.fleet.scraped import Scraped
from support.waiting import until_true

from bridge.canary.gallery import Gallery
from bridge.canary.shown import read_shown
from bridge.canary.verdict import Shown, What, differences

LIMIT_SECONDS = 3.0
"""Nobody is refused, and no page fails, for longer than this."""

DOUBLED_SECONDS = 2.0
"""Both bridges are scraped at moments of their own: a session that moves may be on two for one scrape."""

ALERT_SECONDS = 6.0
"""Silence that raises an alert, by the rules as they are shortened for tests."""

SETTLED_SECONDS = 90.0
"""So long it may take until every session has an owner and every image its fate."""


class Line(NamedTuple):
    """One line of the table: what must hold, what was found, what is allowed, and what breaks it."""

    what: str
    found: str
    allowed: str
    violations: Sequence[str]


@dataclass(frozen=True)
class SavedPage:
    """A /metrics page that was fetched once, to be read for many sessions."""

    url: str
    text: str

    def metrics(self) -> str:
        """Return the page, as BridgeClient does."""
        return self.text


@dataclass(frozen=True)
class Limits:
    """What a campaign allows."""

    seconds: float = LIMIT_SECONDS
    gap_seconds: float = LIMIT_SECONDS
    """How long a session may be on no bridge that is scraped, from its last sample to the next."""
    is_patient: bool = False
    """A machine that has more to run than it has cores may take longer, in proportion."""
    keeps_disks: bool = True
    """No disk was lost: every image that is counted as stored is there, whichever bridge is asked."""

    def on_this_machine(self) -> "Limits":
        """Return what is allowed with the load that there is."""
        if not self.is_patient:
            return self
        factor = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        return replace(self, seconds=self.seconds * factor, gap_seconds=self.gap_seconds * factor)


def shown_by_owners(fleet: Fleet, names: Iterable[str]) -> dict[str, list[tuple[str, Shown]]]:
    """Return which bridges have series of each session, and what these show."""
    pages = [SavedPage(member.name, member.bridge.client.metrics()) for member in fleet.live]
    found: dict[str, list[tuple[str, Shown]]] = defaultdict(list)
    for page in pages:
        for name in names:
            if f'session_id="{name}"' in page.text:
                found[name].append((page.url, read_shown(page, name)))
    return found


def settled(fleet: Fleet, clients: Clients) -> dict[str, tuple[str, Shown]]:
    """Wait until each session stands on exactly one bridge, with all of its images decided about; return both."""
    images = {ledger.run.session_id: ledger.stats["images_sent"] for ledger in clients.sdk}
    images |= {ledger.session_id: ledger.image_bounds()[0] for ledger in clients.original}
    last: dict[str, list[tuple[str, Shown]]] = {}

    def is_settled() -> bool:
        last.clear()
        last.update(shown_by_owners(fleet, clients.names))
        return all(
            len(last.get(name, ())) == 1 and last[name][0][1].counts[What.IMAGE] >= images[name]
            for name in clients.names
        )

    try:
        until_true(is_settled, seconds=SETTLED_SECONDS)
    except AssertionError:
        found = {name: [owner for owner, _ in last.get(name, ())] for name in clients.names}
        wrong = {name: owners for name, owners in found.items() if len(owners) != 1}
        few = {
            name: f"{last[name][0][1].counts[What.IMAGE]} of {images[name]} images"
            for name in clients.names
            if name not in wrong and last[name][0][1].counts[What.IMAGE] < images[name]
        }
        if wrong:
            raise AssertionError(f"not on exactly one bridge: {wrong}") from None
        raise AssertionError(f"not decided about: {few}") from None
    return {name: last[name][0] for name in clients.names}


def judge(
    fleet: Fleet,
    clients: Clients,
    *,
    pages: Pages | None = None,
    scraped: Scraped | None = None,
    limits: Limits | None = None,
) -> list[Line]:
    """Return all that must hold, and whether it does; every client has finished, and every bridge is ready."""
    limits = (limits or Limits()).on_this_machine()
    shown = settled(fleet, clients)
    lines = [*_sdk(clients.sdk, shown), *_originals(clients.original, shown)]
    lines += _service(fleet, clients, limits)
    lines.append(_everywhere(fleet, shown))
    if limits.keeps_disks:
        lines.append(_images(fleet, clients, shown))
    if pages is not None:
        lines += _pages(fleet, pages, limits)
    if scraped is not None:
        counted = {name: found.counts[What.BATCH] for name, (_, found) in shown.items()}
        lines += _prometheus(fleet, scraped, counted, limits)
    lines.append(_logs(fleet))
    return lines


def table(lines: Sequence[Line]) -> str:
    """Return the lines as aligned text, and behind them the violations."""
    heading = Line("what", "found", "allowed", ())
    rows = [(*line[:3], "NO" if line.violations else "yes") for line in lines]
    rows = [(*heading[:3], "holds"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for line in lines:
        text += [f"  {line.what}: {violation}" for violation in line.violations[:10]]
    return "\n".join(text)


def violations(lines: Sequence[Line]) -> list[str]:
    """Return everything that does not hold."""
    return [f"{line.what}: {violation}" for line in lines for violation in line.violations]


def _sdk(ledgers: Sequence[SdkLedger], shown: dict[str, tuple[str, Shown]]) -> list[Line]:
    lost, twice, wrong, images, sent_images = [], [], [], [], 0
    for ledger in ledgers:
        name = ledger.run.session_id
        found = shown[name][1]
        sent = Sent.whole(ledger.run, ledger.batches, images=ledger.stats["images_sent"])
        counts = sent.expectation(found).expected
        sent_images += ledger.stats["images_sent"]
        for what in (What.BATCH, What.EPOCH, What.PREDICTION):
            text = f"{name}: {found.counts[what]} of {counts[what]} {what}"
            lost += [text] * (found.counts[what] < counts[what])
            twice += [text] * (found.counts[what] > counts[what])
        if found.counts[What.IMAGE] != ledger.stats["images_sent"]:
            images.append(f"{name}: {found.counts[What.IMAGE]} of {ledger.stats['images_sent']}")
        wrong += [f"{name}: {one}" for one in differences(sent.expectation(found), found)]
        lost += [f"{name}: {ledger.left} messages were not delivered"] * bool(ledger.left)
        dropped = ledger.stats["dropped"] + ledger.stats["refused"]
        lost += [f"{name}: {dropped} messages dropped or refused"] * bool(dropped)
    batches = sum(ledger.batches for ledger in ledgers)
    return [
        Line("SDK: batches lost", f"{len(lost)} sessions, {batches:,} sent", "0", lost),
        Line("SDK: batches counted twice", f"{len(twice)} sessions", "0", twice),
        Line("SDK: sums of values differ", f"{len(wrong)} sessions", "0", wrong),
        Line("SDK: images without a fate", f"of {sent_images:,} sent", "0", images),
    ]


def _originals(
    ledgers: Sequence[OriginalLedger], shown: dict[str, tuple[str, Shown]]
) -> list[Line]:
    lost, twice, ended, images = [], [], [], []
    for ledger in ledgers:
        found = shown[ledger.session_id][1]
        _between(ledger.session_id, found.counts[What.BATCH], ledger.bounds(), lost, twice)
        for residue in range(8):
            counted = int(found.values[What.PREDICTION].get(f"{residue}/{residue}", 0))
            name = f"{ledger.session_id}, class {residue}"
            _between(name, counted, ledger.bounds(residue), lost, twice)
        _between(ledger.session_id, found.counts[What.IMAGE], ledger.image_bounds(), images, images)
        ended += [] if ledger.has_ended else [f"{ledger.session_id} could not end"]
    sent, acknowledged = (
        sum(ledger.sent for ledger in ledgers),
        sum(one.acknowledged for one in ledgers),
    )
    streams = sum(ledger.streams for ledger in ledgers)
    found = (
        f"{len(lost)} sessions, {acknowledged:,} acknowledged of {sent:,} sent, {streams} streams"
    )
    return [
        Line("original: acknowledged batches lost", found, "0", lost),
        Line("original: batches counted twice", f"{len(twice)} sessions", "0", twice),
        Line("original: images without a fate", f"{len(images)} sessions", "0", images),
        Line("original: sessions that could not end", str(len(ended)), "0", ended),
    ]


def _between(
    name: str, counted: int, bounds: tuple[int, int], lost: list[str], twice: list[str]
) -> None:
    least, most = bounds
    lost += [f"{name}: {counted} counted, {least} acknowledged"] * (counted < least)
    twice += [f"{name}: {counted} counted, {most} sent"] * (counted > most)


def _service(fleet: Fleet, clients: Clients, limits: Limits) -> list[Line]:
    lines = []
    for kind, ledgers in (("SDK", clients.sdk), ("original", clients.original)):
        waits = {
            getattr(ledger, "session_id", "") or ledger.run.session_id: longest(
                ledger.interruptions, fleet.outages
            )
            for ledger in ledgers
        }
        found = max((seconds for seconds, _ in waits.values()), default=0.0)
        broken = [
            f"{name}: {seconds:.1f} s ({reason})"
            for name, (seconds, reason) in waits.items()
            if seconds > limits.seconds
        ]
        count = sum(len(ledger.interruptions) for ledger in ledgers)
        away = max((longest(ledger.interruptions)[0] for ledger in ledgers), default=0.0)
        text = f"{found:.1f} s at most, {count} times over 0.5 s"
        text += f"; {away:.1f} s with outages" if fleet.outages else ""
        lines.append(Line(f"{kind}: without an Ack", text, f"{limits.seconds:.1f} s", broken))
    return lines


def _everywhere(fleet: Fleet, shown: dict[str, tuple[str, Shown]]) -> Line:
    """Every bridge shows every session as its owner does: the only attempt, complete, with the same number."""
    wrong: list[str] = []
    for member in fleet.live:
        for name, (owner, found) in shown.items():
            wrong += _page_of(member.bridge, name, found.counts[What.BATCH], f"owned by {owner}")
    places = f"{len(shown)} sessions on {len(fleet.live)} bridges"
    return Line("API differs from the owner's series", places, "0", wrong)


def _images(fleet: Fleet, clients: Clients, shown: dict[str, tuple[str, Shown]]) -> Line:
    """Every stored image of the SDK's sessions is listed once and has its bytes, on bridges in turn."""
    wrong, there = [], 0
    for number, ledger in enumerate(clients.sdk):
        name, bridge = ledger.run.session_id, fleet.live[number % len(fleet.live)].bridge
        sent = range(1, ledger.batches + 1)
        seen = Gallery(ledger.run, bridge.client, sent.__contains__).check(is_whole=True)
        stored = shown[name][1].images_stored
        there += seen.there or 0
        if seen.findings or not seen.is_complete or seen.there != stored:
            wrong.append(f"{name}: {seen.there} of {stored} at {bridge.http}: {seen.findings[:3]}")
    return Line("SDK: stored images that are not there", f"{there} are there", "0", wrong)


def _page_of(bridge: RunningBridge, name: str, batches: int, note: str) -> list[str]:
    try:
        details = bridge.client.session(name)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what was found
        return [f"{bridge.http} {name}: {error!r}"]
    found = (details.batches, details.attempt, str(details.state))
    expected = (batches, 1, "completed")
    return [] if found == expected else [f"{bridge.http} {name}, {note}: {found} != {expected}"]


def _pages(fleet: Fleet, pages: Pages, limits: Limits) -> list[Line]:
    seconds, _ = longest(pages.interruptions, fleet.outages)
    broken = [
        f"{reason} for {longest([one], fleet.outages)[0]:.1f} s"
        for one in pages.interruptions
        for reason in (one[2],)
        if longest([one], fleet.outages)[0] > limits.seconds
    ]
    failures = ", ".join(f"{count} {what}" for what, count in sorted(pages.failures.items()))
    text = f"{seconds:.1f} s at most, {pages.asked:,} asked, slowest {pages.slowest_seconds:.1f} s"
    text = f"{text}, {failures}" if failures else text
    return [Line("pages that do not answer", text, f"{limits.seconds:.1f} s", broken)]


def _prometheus(
    fleet: Fleet, scraped: Scraped, counted: dict[str, int], limits: Limits
) -> list[Line]:
    gaps = {
        name: longest([(*gap, "") for gap in found], fleet.outages)[0]
        for name, found in scraped.gaps().items()
    }
    resets = [
        f"{name}: {before:g} to {after:g} at {at:.1f}"
        for name, found in scraped.resets().items()
        for at, before, after in found
    ]
    different = [
        f"{name}: last {last:g}, increase {increase:.1f}, counted {counted[name]}"
        for name, (last, increase) in scraped.differences(counted).items()
    ]
    doubled = [
        f"{name} for {seconds:g} s"
        for name, seconds in scraped.doubled.items()
        if seconds > DOUBLED_SECONDS * limits.seconds / LIMIT_SECONDS
    ]
    total, sums = sum(counted.values()), sum(scraped.increases.values())
    wide = [
        f"{name} for {gap:.1f} s" for name, gap in sorted(gaps.items()) if gap > limits.gap_seconds
    ]
    return [
        Line(
            "Prometheus: sums differ",
            f"increase {sums:,.0f} of {total:,}",
            "0 sessions",
            different,
        ),
        Line("Prometheus: counters that fell", str(len(resets)), "0", resets),
        Line(
            "Prometheus: between two scrapes of a session",
            f"{max(gaps.values(), default=0):.1f} s at most",
            f"{limits.gap_seconds:.1f} s",
            wide,
        ),
        Line("Prometheus: sessions on two bridges for over 2 s", str(len(doubled)), "0", doubled),
        Line(
            "Prometheus: alerts about trainings",
            str(len(scraped.alerts)),
            "0",
            [
                f"{name}, {count} times"
                for name, count in scraped.alerts.items()
                if limits.gap_seconds <= ALERT_SECONDS
            ],
        ),
    ]


def _logs(fleet: Fleet) -> Line:
    found = []
    for member in fleet.members:
        for path in member.logs():
            text = path.read_text(errors="replace")
            if "Traceback" in text:
                at = text.index("Traceback")
                found.append(f"{path.parent.name}/{path.name}: {text[at - 300 : at + 1500]}")
    return Line("unexpected errors in logs", str(len(found)), "0", found)
