"""What was left in a spool reaches a bridge, once."""

import socket
import threading

import pytest
from support.fake_bridge import ORIGINAL, FakeBridge, serving
from support.spools import identity_of, leave, message, reopened

from bridge.client import TrainingSession
from bridge.client.entry import Kind
from bridge.client.settings import Destination
from bridge.client.spool.folder import InUseError, folders_in
from bridge.client.sync import SILENT_END, AbsentError, UndeliverableError, deliver
from bridge.wire import metrics_pb2 as wire


@pytest.fixture
def bridge():
    """Return a bridge that behaves until it is told otherwise."""
    with serving(FakeBridge()) as one:
        yield one


def run(*, ended=True, batches=300):
    """Return what a session said."""
    said = [message(1, Kind.PRECIOUS), *map(message, range(2, batches + 2))]
    return [*said, message(batches + 2, Kind.LAST)] if ended else said


def deliver_to(bridge, path, *, patience_seconds=10.0, progress=lambda *_: None):
    """Deliver what is left in a folder."""
    return deliver(
        path, Destination(bridge.address), patience_seconds=patience_seconds, progress=progress
    )


def test_everything_left_is_delivered_in_order_under_its_own_name(tmp_path, bridge):
    """The bridge sees the same session and instance, and each message once; the folder is gone."""
    told = []
    delivery = deliver_to(
        bridge, leave(tmp_path, run()), progress=lambda *progress: told.append(progress)
    )

    assert [request.sequence for request in bridge.received] == list(range(1, 303))
    assert (delivery.delivered, delivery.is_whole) == (302, True)
    (who,) = bridge.registrations
    assert (who.session_id, who.client_instance_id) == ("run", identity_of().instance_id)
    assert list(who.config.class_names) == ["a", "b"]
    assert {name for name, *_ in told} == {"run"}
    assert {messages for *_, messages in told} == {302}
    assert list(tmp_path.iterdir()) == []


def test_what_the_bridge_has_is_not_sent_again(tmp_path, bridge):
    """Neither what was acknowledged while the process lived nor what the bridge says it has."""
    bridge.accepted = 200
    delivery = deliver_to(bridge, leave(tmp_path, run(), marked=100))

    assert [request.sequence for request in bridge.received] == list(range(201, 303))
    assert delivery.is_whole


def test_a_silent_end_is_told(tmp_path, bridge):
    """A process that was killed has failed; the number is higher than all the bridge has."""
    bridge.accepted = 400  # more than what is left: the power was lost
    deliver_to(bridge, leave(tmp_path, run(ended=False)))

    (last,) = bridge.applied
    assert last.sequence == 401
    assert last.status_update.status == wire.FAILED
    assert last.status_update.message == SILENT_END
    assert last.status_update.config.model_name == "m"


@pytest.mark.parametrize("entries", [[], run()], ids=["nothing said", "all acknowledged"])
def test_a_folder_with_nothing_to_deliver_is_removed(tmp_path, entries):
    """No bridge is needed for that."""
    path = leave(tmp_path, entries, marked=302 if entries else 0)
    delivery = deliver(
        path, Destination("127.0.0.1:1"), patience_seconds=1, progress=lambda *_: None
    )

    assert delivery.is_whole
    assert not path.exists()


class Interrupted(BaseException):
    """Somebody has pressed Ctrl-C."""


@pytest.mark.parametrize("ended", [True, False])
def test_a_delivery_may_be_interrupted_and_run_again(tmp_path, bridge, ended):
    """At any moment; together the deliveries bring each message once."""
    path = leave(tmp_path, run(ended=ended, batches=5_000))

    def interrupt(_name, done, _messages):
        if done >= interrupt.at:
            raise Interrupted

    for interrupt.at in (0, 1, 2_000):
        with pytest.raises(Interrupted):
            deliver_to(bridge, path, progress=interrupt)
        assert path.exists()
    assert deliver_to(bridge, path).is_whole

    assert [request.sequence for request in bridge.applied] == list(range(1, 5_003))
    assert not path.exists()


def test_a_bridge_that_is_killed_meanwhile_is_waited_for(tmp_path, bridge):
    """It comes back, and gets the rest."""
    bridge.break_at = [50, 150]
    delivery = deliver_to(bridge, leave(tmp_path, run()))

    assert delivery.is_whole
    assert [request.sequence for request in bridge.applied] == list(range(1, 303))
    assert len(bridge.registrations) == 3


def test_a_refusal_is_told_and_costs_nothing(tmp_path, bridge):
    """The session is another process's now: everything stays where it is."""
    path = leave(tmp_path, run())
    bridge.refuse_registration = "this session is being sent by another training process"
    with pytest.raises(UndeliverableError, match="refuses it: this session is being sent by anoth"):
        deliver_to(bridge, path)

    bridge.refuse_registration = ""
    assert deliver_to(bridge, path).delivered == 302


def test_an_absent_bridge_is_given_up(tmp_path):
    """After a while in which nothing moved, and with the reason."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = leave(tmp_path, run())
    with pytest.raises(AbsentError, match=f"no bridge answers at 127.0.0.1:{port}: UNAVAILABLE"):
        deliver(
            path,
            Destination(f"127.0.0.1:{port}"),
            patience_seconds=0.5,
            progress=lambda *_: None,
        )

    assert reopened(path).unmarked() == (302, 300)


def test_a_frozen_bridge_is_given_up(tmp_path, bridge):
    """It has taken the connection and says nothing any more."""
    bridge.may_read.clear()
    path = leave(tmp_path, run())
    with pytest.raises(UndeliverableError, match="takes nothing any more"):
        deliver_to(bridge, path, patience_seconds=0.5)

    bridge.may_read.set()
    assert deliver_to(bridge, path).is_whole


def test_messages_the_bridge_refuses_are_told(tmp_path, bridge):
    """They are not sent for ever, and not passed over in silence."""
    bridge.invalid = {5}
    delivery = deliver_to(bridge, leave(tmp_path, run()))

    assert (delivery.delivered, delivery.refused, delivery.is_whole) == (301, 1, False)


def test_damaged_messages_are_told(tmp_path, bridge):
    """The others are delivered."""
    path = leave(tmp_path, run())
    (file,) = path.glob("*.spool")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    delivery = deliver_to(bridge, path)

    assert (delivery.delivered, delivery.lost, delivery.is_whole) == (301, 1, False)


def test_an_original_bridge_is_served(tmp_path):
    """It acknowledges batch by batch, and knows no frames."""
    with serving(FakeBridge(config=ORIGINAL, frames=False, numbered=False)) as bridge:
        delivery = deliver_to(bridge, leave(tmp_path, run()))

    assert delivery.is_whole
    assert len(bridge.batches()) == 300


def test_a_living_session_is_left_alone(tmp_path, bridge):
    """Its own process delivers it."""
    with TrainingSession(bridge.address, spool_dir=tmp_path) as session:
        (path,) = folders_in(tmp_path)
        with pytest.raises(InUseError):
            deliver_to(bridge, path)
        session.log_batch(0.5, epoch=0, batch=0)

    assert list(tmp_path.iterdir()) == []
    assert bridge.batches() == [(0, 0)]


def test_two_deliveries_at_once_bring_everything_once(tmp_path, bridge):
    """One of them has the folder; the other says so or finds nothing."""
    path = leave(tmp_path, run(batches=3_000))
    became = []

    def work():
        try:
            became.append(deliver_to(bridge, path).delivered)
        except (InUseError, FileNotFoundError) as error:
            became.append(type(error))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert 3_002 in became
    assert [request.sequence for request in bridge.applied] == list(range(1, 3_003))
