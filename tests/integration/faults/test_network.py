"""A network that loses packets without a word, or breaks again and again, loses nothing for training."""

import os
import time
from contextlib import ExitStack

from support import checks
from support.bridges import running_bridge
from support.known_run import KnownRun
from support.networks import line
from support.proxy import proxying
from support.trainers import training
from support.waiting import until_true

CUT_SECONDS = float(os.environ.get("TRAINBRIDGE_CUT_SECONDS", "10"))
"""How long connections are cut, again and again."""

BETWEEN_CUTS_SECONDS = 1.0
NOTICE_SECONDS = 40 + 10
"""A ping after 20 s, 20 s for its answer, and some slack."""


def test_both_sides_notice_a_dead_network_and_get_over_it(tmp_path):
    """Within 40 s the session shows as disconnected, and the SDK says so; behind it the rest arrives."""
    run = KnownRun("run", epoch_batches=30)
    log = tmp_path / "trainer.log"
    with line() as wire, ExitStack() as stack:
        there, here = wire.hosts
        stack.enter_context(here.entered())
        listening = ("--grpc-address", f"{here.address}:0", "--allow-anonymous")
        flags = (*listening, "--images-keep", "all")
        bridge = stack.enter_context(running_bridge(tmp_path / "state", *flags))
        address = f"{here.address}:{bridge.grpc.rpartition(':')[2]}"
        with there.entered():
            trainer = stack.enter_context(training(address, run, rate=30, log=log))
        until_true(lambda: bridge.total("training_batches_total") > 30)
        assert bridge.total("training_session_connected") == 1

        wire.cut()
        began = time.monotonic()
        until_true(
            lambda: bridge.total("training_session_connected") == 0,
            seconds=NOTICE_SECONDS,
            what="the bridge notices",
        )
        until_true(
            lambda: "no connection to the bridge" in log.read_text(),
            seconds=NOTICE_SECONDS - (time.monotonic() - began),
            what="the SDK notices",
        )
        assert bridge.total("bridge_streams") == 0
        wire.mend()
        summary = trainer.finish()

        assert (summary.left, summary.stats["dropped"]) == (0, 0)
        assert summary.call_longest_seconds < 1
        sent = checks.Sent.whole(run, summary.batches, images=summary.stats["images_sent"])
        checks.check(bridge, sent, keeps_all=True)
        checks.check_log(bridge)


def test_connections_that_are_cut_again_and_again_lose_nothing(tmp_path):
    """Every second, in the middle of whatever is under way: loss 0, duplicates 0."""
    run = KnownRun("run", epoch_batches=50)
    with (
        running_bridge(tmp_path / "state", "--images-keep", "all") as bridge,
        proxying(bridge.grpc) as proxy,
        training(proxy.address, run, rate=100) as trainer,
    ):
        ends = time.monotonic() + CUT_SECONDS
        while time.monotonic() < ends:
            time.sleep(BETWEEN_CUTS_SECONDS)
            proxy.cut()
        summary = trainer.finish()

        assert summary.stats["connections"] >= CUT_SECONDS / BETWEEN_CUTS_SECONDS / 2
        assert (summary.left, summary.stats["dropped"]) == (0, 0)
        sent = checks.Sent.whole(run, summary.batches, images=summary.stats["images_sent"])
        checks.check(bridge, sent, keeps_all=True)
        checks.check_log(bridge)
