"""The faults of a campaign: each goes on until the campaign is over, and leaves every bridge ready."""

import time
from collections.abc import Callable

from support.fleet.campaign import Campaign
from support.fleet.member import Member


def kills(every_seconds: float = 10.0, down_seconds: float = 1.0) -> Callable[[Campaign], None]:
    """Kill one bridge after the other, and start it again with its disk."""

    def fault(campaign: Campaign) -> None:
        for member in _in_turn(campaign, every_seconds):
            with member.being_tried:
                member.kill()
                time.sleep(down_seconds)
                campaign.fleet.restart(member)

    return fault


def lost_nodes(every_seconds: float = 10.0) -> Callable[[Campaign], None]:
    """Kill one bridge after the other, and start one with an empty disk in its place."""

    def fault(campaign: Campaign) -> None:
        for member in _in_turn(campaign, every_seconds):
            with member.being_tried:
                member.lose_node()
                campaign.fleet.restart(member)

    return fault


def upgrades(every_seconds: float = 5.0) -> Callable[[Campaign], None]:
    """Stop one bridge after the other in order, and start its successor."""

    def fault(campaign: Campaign) -> None:
        for member in _in_turn(campaign, every_seconds):
            with member.being_tried:
                status = member.stop()
                assert status == 0, f"{member.name} ended with {status}"
                campaign.fleet.restart(member)

    return fault


def cuts(
    every_seconds: float = 8.0, down_seconds: float = 2.0, *, silent: bool
) -> Callable[[Campaign], None]:
    """Cut one bridge after the other off from the database for a moment."""

    def fault(campaign: Campaign) -> None:
        for member in _in_turn(campaign, every_seconds):
            began = time.time()
            member.cut(silent=silent)
            time.sleep(down_seconds)
            member.heal()
            campaign.fleet.outages.append([began, time.time()])

    return fault


def freezes(every_seconds: float = 8.0, down_seconds: float = 3.0) -> Callable[[Campaign], None]:
    """Stop one bridge after the other where it stands, and let it go on: it does not know what has happened meanwhile."""

    def fault(campaign: Campaign) -> None:
        for member in _in_turn(campaign, every_seconds):
            with member.being_tried:
                member.freeze()
                time.sleep(down_seconds)
                member.thaw()

    return fault


def moves(every_seconds: float = 2.0) -> Callable[[Campaign], None]:
    """Close all streams of one bridge after the other."""

    def fault(campaign: Campaign) -> None:
        for member in _in_turn(campaign, every_seconds):
            campaign.fleet.proxy.close_streams(member.name)

    return fault


def failover(after_seconds: float = 5.0) -> Callable[[Campaign], None]:
    """Kill the primary once, and promote its standby."""

    def fault(campaign: Campaign) -> None:
        campaign.wait(after_seconds)
        began = time.time()
        campaign.fleet.fail_over()
        campaign.fleet.outages.append([began, time.time()])
        campaign.faults += 1

    return fault


def _in_turn(campaign: Campaign, every_seconds: float):
    """Yield the bridges one after the other, so that a fault begins every so many seconds."""
    members: list[Member] = []
    due = time.monotonic() - campaign.ahead_seconds
    while True:
        due = max(due + every_seconds, time.monotonic())
        campaign.wait(due - time.monotonic())
        if campaign.is_over:
            return
        if not members:
            members = list(campaign.fleet.members)
            campaign.chance.shuffle(members)
        campaign.faults += 1
        yield members.pop()
