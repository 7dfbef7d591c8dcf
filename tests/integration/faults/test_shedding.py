"""A store that stays away costs images when the spool is full; and those in order."""

from support import checks
from support.bridges import running_bridge
from support.buckets import bucket_behind_proxy, everything_is_stored, flags, moto
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire

CATCH_UP_SECONDS = 60


def test_a_full_spool_sheds_in_order(tmp_path):
    """At 90 % sampled images go, at 95 % the first of each epoch too; all are counted, and reported.

    When the store is back, everything that was kept gets there, and images are kept again.
    """
    bulk, firsts = (
        KnownRun("bulk", epoch_batches=1_000, samples=8),
        KnownRun("firsts", epoch_batches=2, samples=1),
    )
    with (
        moto() as server,
        bucket_behind_proxy(server) as (_, proxy),
        running_bridge(
            tmp_path / "state", *flags(server, proxy), "--spool-max-bytes", "1MiB"
        ) as bridge,
        RawClient(bridge.grpc, bulk) as one,
        RawClient(bridge.grpc, firsts) as other,
    ):
        proxy.refuse()
        one.start()
        for number in range(1, 201):
            one.stream(*bulk.requests(number, number))
        other.start()
        for number in range(1, 81):
            other.stream(*firsts.requests(number, number))
        kept = {number for _, number, _ in checks.index_of(bridge, bulk)}
        kept_firsts = sorted(number for _, number, _ in checks.index_of(bridge, firsts))

        assert kept == set(range(1, len(kept) + 1))
        assert 20 < len(kept) < 190
        assert kept_firsts == list(range(1, 2 * len(kept_firsts), 2))
        assert 2 < len(kept_firsts) < 38
        dropped = 8 * (200 - len(kept)) + 80 - len(kept_firsts)
        assert bridge.total("bridge_dropped_total", what="image", reason="spool_full") == dropped
        assert sum(ack.images_dropped for ack in (*one.acks, *other.acks)) == dropped
        assert bridge.total("bridge_spool_bytes") <= 1 << 20

        proxy.pass_on()
        one.stream(bulk.status(wire.COMPLETED))
        until_true(lambda: everything_is_stored(bridge), seconds=CATCH_UP_SECONDS)
        other.stream(*firsts.requests(81, 82))
        until_true(lambda: len(checks.index_of(bridge, firsts)) == len(kept_firsts) + 2)
        checks.check(bridge, checks.Sent.whole(bulk, 200))
        checks.check(bridge, checks.Sent.whole(firsts, 82))
