"""What was left in a spool reaches a bridge, once."""

import errno
import socket
import threading
import time

import pytest
from support.fake_bridge import ORIGINAL, FakeBridge, serving
from support.spools import identity_of, leave, leave_old, outgoing_message, reopened, spool_in

from bridge.client import TrainingSession, sync
from bridge.client.delivery.message import Priority
from bridge.client.settings import Destination
from bridge.client.spool.folder import InUseError, folders_in
from bridge.client.sync import (
    SILENT_END,
    BridgeUnreachableError,
    NotAllowedError,
    UndeliverableError,
    deliver,
    recovered_id,
)
from bridge.client.token_source import TokenSource
from bridge.wire import metrics_pb2 as wire


@pytest.fixture
def bridge():
    """Return a bridge that behaves unless a test changes that."""
    with serving(FakeBridge()) as one:
        yield one


def run(*, ended=True, batches=300):
    """Return what a session said."""
    said = [outgoing_message(1, Priority.CRITICAL), *map(outgoing_message, range(2, batches + 2))]
    return [*said, outgoing_message(batches + 2, Priority.FINAL)] if ended else said


def deliver_to(bridge, path, *, patience_seconds=10.0, progress=lambda *_: None, session_id=None):
    """Deliver what is left in a folder."""
    return deliver(
        path,
        Destination(bridge.address),
        patience_seconds=patience_seconds,
        progress=progress,
        session_id=session_id,
    )


def test_everything_left_is_delivered_in_order_under_its_own_name(tmp_path, bridge):
    """The bridge sees the same session and instance, and each message once; the folder is gone."""
    reported = []
    result = deliver_to(
        bridge, leave(tmp_path, run()), progress=lambda *progress: reported.append(progress)
    )

    assert [request.sequence for request in bridge.received] == list(range(1, 303))
    assert (result.delivered, result.is_whole) == (302, True)
    (who,) = bridge.registrations
    assert (who.session_id, who.client_instance_id) == ("run", identity_of().instance_id)
    assert list(who.config.class_names) == ["a", "b"]
    assert {name for name, *_ in reported} == {"run"}
    assert {messages for *_, messages in reported} == {302}
    assert list(tmp_path.iterdir()) == []


def test_what_the_bridge_has_is_not_sent_again(tmp_path, bridge):
    """Neither what was acknowledged while the process lived nor what the bridge says it has."""
    bridge.accepted = 200
    result = deliver_to(bridge, leave(tmp_path, run(), acked_through=100))

    assert [request.sequence for request in bridge.received] == list(range(201, 303))
    assert result.is_whole


def test_a_silent_end_is_reported(tmp_path, bridge):
    """A process that was killed has failed; the number is higher than all the bridge has."""
    bridge.accepted = 400  # more than what is left: the power was lost
    deliver_to(bridge, leave(tmp_path, run(ended=False)))

    (last,) = bridge.delivered
    assert last.sequence == 401
    assert last.status_update.status == wire.FAILED
    assert last.status_update.message == SILENT_END
    assert last.status_update.config.model_name == "m"


@pytest.mark.parametrize("messages", [[], run()], ids=["nothing said", "all acknowledged"])
def test_a_folder_with_nothing_to_deliver_is_removed(tmp_path, messages):
    """No bridge is needed for that."""
    path = leave(tmp_path, messages, acked_through=302 if messages else 0)
    result = deliver(path, Destination("127.0.0.1:1"), patience_seconds=1, progress=lambda *_: None)

    assert result.is_whole
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

    assert [request.sequence for request in bridge.delivered] == list(range(1, 5_003))
    assert not path.exists()


def test_a_bridge_that_is_killed_meanwhile_is_waited_for(tmp_path, bridge):
    """It comes back, and gets the rest."""
    bridge.break_at = [50, 150]
    result = deliver_to(bridge, leave(tmp_path, run()))

    assert result.is_whole
    assert [request.sequence for request in bridge.delivered] == list(range(1, 303))
    assert len(bridge.registrations) == 3


def test_a_refusal_is_reported_and_costs_nothing(tmp_path, bridge):
    """The session is another process's now: everything stays where it is."""
    path = leave(tmp_path, run())
    bridge.refuse_registration = "this session is being sent by another training process"
    with pytest.raises(UndeliverableError, match="refuses it: this session is being sent by anoth"):
        deliver_to(bridge, path)

    bridge.refuse_registration = ""
    assert deliver_to(bridge, path).delivered == 302


@pytest.mark.parametrize(
    ("token", "error", "words"),
    [
        ("tb_planted-unknown", BridgeUnreachableError, "it does not accept the token from the arg"),
        ("tb_planted-known", NotAllowedError, "it does not let the token from the argument tok"),
    ],
)
def test_a_token_that_is_not_let_in_costs_nothing(tmp_path, bridge, token, error, words):
    """One that the bridge does not know would be no better for other sessions; the role may be for others."""
    path = leave(tmp_path, run())
    bridge.tokens = bridge.forbidden = {"tb_planted-known"}
    to = Destination(bridge.address, token=TokenSource(token, "the argument token"))
    with pytest.raises(UndeliverableError, match=words) as refusal:
        deliver(path, to, patience_seconds=30, progress=lambda *_: None)

    assert type(refusal.value) is error
    assert token not in str(refusal.value)
    bridge.forbidden = set()
    good = Destination(bridge.address, token=TokenSource("tb_planted-known"))
    assert deliver(path, good, patience_seconds=60, progress=lambda *_: None).delivered == 302


def test_an_absent_bridge_is_given_up(tmp_path):
    """After a while in which nothing moved, and with the reason."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = leave(tmp_path, run())
    with pytest.raises(
        BridgeUnreachableError, match=f"no bridge at 127.0.0.1:{port}: nothing listens there"
    ):
        deliver(
            path,
            Destination(f"127.0.0.1:{port}"),
            patience_seconds=0.5,
            progress=lambda *_: None,
        )

    assert reopened(path).count_unacknowledged() == (302, 300)


def test_it_is_said_at_once_why_nothing_moves(tmp_path, monkeypatch, caplog):
    """Not only when patience ends; each reason once, and nobody claims that training goes on."""
    monkeypatch.setattr(sync, "STALLED_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
    said = []
    with pytest.raises(BridgeUnreachableError):
        deliver(
            leave(tmp_path, run()),
            Destination(target),
            patience_seconds=1.0,
            progress=lambda *_: None,
            waiting=said.append,
        )

    (reason,) = said
    assert reason.startswith(f"no connection to the bridge at {target} yet: nothing listens there")
    assert "Training goes on" not in caplog.text
    assert "What its process has left stays in its spool" in caplog.text


def test_a_frozen_bridge_is_given_up(tmp_path, bridge):
    """It has taken the connection and says nothing any more."""
    bridge.may_read.clear()
    path = leave(tmp_path, run())
    with pytest.raises(UndeliverableError, match="acknowledges nothing any more"):
        deliver_to(bridge, path, patience_seconds=0.5)

    bridge.may_read.set()
    assert deliver_to(bridge, path).is_whole


def test_messages_the_bridge_refuses_are_counted(tmp_path, bridge):
    """They are not sent again and again, and not passed over in silence."""
    bridge.invalid = {5}
    result = deliver_to(bridge, leave(tmp_path, run()))

    assert (result.delivered, result.refused, result.is_whole) == (301, 1, False)


def test_damaged_messages_are_counted(tmp_path, bridge):
    """The others are delivered."""
    path = leave(tmp_path, run())
    (file,) = path.glob("*.spool")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    result = deliver_to(bridge, path)

    assert (result.delivered, result.lost, result.is_whole) == (301, 1, False)


def check_books(bridge, path, result, written):
    """What is delivered is what the bridge has; the folder is kept if something is lost."""
    ends = sum(request.status_update.message == SILENT_END for request in bridge.delivered)
    assert result.delivered == len(bridge.delivered)
    assert result.delivered - ends + result.refused + result.lost == written
    assert not path.exists()
    assert result.is_whole == (not result.lost) == (result.kept is None)
    assert result.kept is None or list(result.kept.glob("*.spool"))
    assert list(folders_in(path.parent)) == [], "nobody delivers it once more"


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.3, 0.5, 0.75, 0.9999])
@pytest.mark.parametrize("value", [1, 0x80])
def test_one_damaged_byte_costs_at_most_one_message(tmp_path, bridge, share, value):
    """Wherever it is: in the opening of the file, a length, a check, a body."""
    path = leave(tmp_path, run())
    (file,) = path.glob("*.spool")
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= value
    file.write_bytes(content)

    result = deliver_to(bridge, path)

    assert result.lost <= 1
    check_books(bridge, path, result, 302)


def test_a_spool_of_the_first_version_is_delivered(tmp_path, bridge):
    """What its trainer left when the SDK was not as new as this command; damage in it is passed over too."""
    path = leave_old(tmp_path, run()[:100], run()[100:])
    first = min(path.glob("*.spool"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)

    result = deliver_to(bridge, path)

    assert result.lost == 1
    check_books(bridge, path, result, 302)


def test_a_missing_file_is_counted_also_after_an_interruption(tmp_path, bridge):
    """The second delivery begins behind the gap, and still knows of it."""
    spool = spool_in(tmp_path, limit_bytes=1 << 18)
    for message in run(batches=5_000):
        spool.append([message])
    spool.release()
    path = spool.path
    sorted(path.glob("*.spool"))[1].unlink()

    def interrupt(_name, done, _messages):
        if done >= 2_000:
            raise Interrupted

    with pytest.raises(Interrupted):
        deliver_to(bridge, path, progress=interrupt)
    result = deliver_to(bridge, path)

    assert result.lost == 5_002 - len(bridge.delivered) > 0
    assert result.kept is not None


def test_a_spool_without_its_identity_is_left(tmp_path, bridge):
    """Missing, cut off, of one wrong letter, or not a file: nobody guesses whose messages these are."""
    path = leave(tmp_path, run())
    file = path / "session.json"
    whole = file.read_text()
    for text in ("", whole[:-3], whole.replace('"run"', '"ran"'), "[" * 100_000):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"session\.json"):
            deliver_to(bridge, path)
    file.unlink()
    assert list(folders_in(tmp_path)) == [path]
    with pytest.raises(ValueError, match=r"session\.json"):
        deliver_to(bridge, path)
    file.mkdir()
    with pytest.raises(ValueError, match=r"session\.json"):
        deliver_to(bridge, path)

    file.rmdir()
    file.write_text(whole)
    assert deliver_to(bridge, path).delivered == 302


def test_a_spool_of_which_nothing_can_be_read_is_kept(tmp_path, bridge):
    """It is not taken for an empty one."""
    path = leave(tmp_path, run())
    (file,) = path.glob("*.spool")
    file.write_bytes(bytes(1_000))

    result = deliver_to(bridge, path)

    assert (result.delivered, result.is_whole) == (0, False)
    assert result.kept.is_dir()
    assert bridge.registrations == []


def test_a_folder_that_cannot_be_removed_is_named(tmp_path, bridge):
    """What is foreign in it is not deleted; all is delivered, and once."""
    path = leave(tmp_path, run())
    (path / "photos").mkdir()

    result = deliver_to(bridge, path)

    assert (result.delivered, result.lost) == (302, 0)
    assert not result.is_whole
    assert result.kept == path
    assert "photos" in result.removal_error
    assert deliver_to(bridge, path).delivered == 0


def test_a_disk_that_is_full_is_not_an_obstacle(tmp_path, bridge, monkeypatch):
    """What has been left is read; notes of how far it is are not needed."""
    path = leave(tmp_path, run(ended=False))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bridge.client.spool.writer.os.write", full)
    result = deliver_to(bridge, path)

    assert result.is_whole
    assert len(bridge.delivered) == 302


def test_what_is_left_says_that_it_is_and_when_it_began(tmp_path, bridge):
    """A trainer that begins again does not say so."""
    with TrainingSession(bridge.address, spool_dir=tmp_path) as session:
        session.log_batch(0.5, epoch=0, batch=0)
    started = int(bridge.metadata[0]["trainbridge-started-ms"])
    assert abs(started / 1000 - time.time()) < 60
    assert "trainbridge-left-over" not in bridge.metadata[0]
    bridge.accepted = 0

    deliver_to(bridge, leave(tmp_path, run(), started_ms=started))

    registration = next(m for m in bridge.metadata if "trainbridge-left-over" in m)
    assert registration["trainbridge-left-over"] == "1"
    assert registration["trainbridge-started-ms"] == str(started)


@pytest.mark.parametrize("name", ["other", ""])
def test_a_session_may_be_delivered_under_another_name(tmp_path, bridge, name):
    """All that is here of it, also what was acknowledged under its own name."""
    path = leave(tmp_path, run(), acked_through=100)
    result = deliver_to(bridge, path, session_id=name)

    assert result.session_id == (name or "run-recovered-01234567")
    assert {who.session_id for who in bridge.registrations} == {result.session_id}
    assert result.delivered == 302
    assert result.is_whole


def test_a_name_that_cannot_be_one_is_refused_before_anything_is_touched(tmp_path, bridge):
    """And the name that is made always can."""
    path = leave(tmp_path, run())
    with pytest.raises(ValueError, match="session_id must match"):
        deliver_to(bridge, path, session_id="a b")

    assert path.exists()
    assert len(recovered_id("x" * 63, "0123456789")) == 63


def test_an_original_bridge_is_served(tmp_path):
    """It acknowledges batch by batch, and knows no frames."""
    with serving(FakeBridge(config=ORIGINAL, frames=False, uses_sequences=False)) as bridge:
        result = deliver_to(bridge, leave(tmp_path, run()))

    assert result.is_whole
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
    assert [request.sequence for request in bridge.delivered] == list(range(1, 3_003))
