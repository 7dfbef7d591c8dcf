"""Which of several bridges behind one name a session reaches."""

import collections

from support.fake_bridge import FakeBridge, serving

from bridge.client.delivery.channel import open_channel
from bridge.client.delivery.registration import register
from bridge.client.identity import Identity, RunConfig
from bridge.client.settings import Destination

SESSIONS = 24
"""So many sessions all reach the same one of two bridges by chance once in eight million times."""


def test_sessions_spread_over_the_addresses_of_a_name():
    """A name in the DNS may have the addresses of several bridges: each connection takes any of them."""
    with serving(FakeBridge()) as one, serving(FakeBridge()) as other:
        target = f"ipv4:{one.address},{other.address}"  # as gRPC resolves a name with two addresses
        for number in range(SESSIONS):
            channel = open_channel(Destination(target))
            identity = Identity(f"run-{number}", "instance", "tests", "1", RunConfig())
            for _ in range(2):
                register(channel, identity, identity.session_id, ())
            channel.close()

    assert one.registrations
    assert other.registrations
    for bridge in (one, other):
        calls = collections.Counter(info.session_id for info in bridge.registrations)
        assert set(calls.values()) == {2}, "all calls of one session reach one bridge"
