"""Sessions that move between bridges, and whose trace goes on as if they had not."""

from support.spans import START, World, averages, batch

from bridge.lifecycle import Ended, Moved, Registered
from bridge.model import Stage, Status, StatusChange


def test_session_that_has_moved_ends_nothing_here(world):
    """Its trace leaves memory without a span of its end, and other sessions go on."""
    moved, other = world.register("moved"), world.register("other")
    world.happen(moved, batch(1, 0), at=START + 1)
    before = world.spans()

    world.happen(moved, Moved(), at=START + 2)
    world.happen(other, averages(1), at=START + 3)

    assert world.sink.snapshot(moved) is None
    assert [span.name for span in world.spans()[len(before) :]] == ["training.epoch"]


def test_what_no_commit_has_taken_is_finished_by_the_next_owner(world):
    """Spans of a session that has moved are not written any more, and those of others are."""
    moved, other = world.register("moved"), world.register("other")
    world.spans()
    world.happen(moved, averages(1), at=START + 1)
    world.happen(other, averages(1), at=START + 1)

    world.happen(moved, Moved(), at=START + 2)

    rows = world.database.query("SELECT span_id FROM spans")
    world.commit()
    assert len(world.database.query("SELECT span_id FROM spans")) == len(rows) + 1


def test_session_that_comes_to_a_running_bridge_goes_on_with_its_trace(tmp_path):
    """Nothing that the former owner has sent is sent anew: not even the root."""
    first, second = World(tmp_path / "1"), World(tmp_path / "2")
    session = first.register()
    first.happen(session, averages(1), batch(2, 0), at=START + 1)
    sent = first.spans()
    second.register("other")
    second.commit()
    restored = first.restored(session)

    second.sink.replay(restored, Registered(), START + 2)
    second.sink.replay(restored, batch(2, 1), START + 2)
    assert not second.commit()
    second.happen(restored, batch(2, 2), averages(2), at=START + 3)

    [epoch] = [span for span in second.spans() if span.name == "training.epoch"]
    assert epoch.trace_id == sent[0].trace_id
    assert epoch.span_id not in {span.span_id for span in sent}
    assert (epoch.start, epoch.attributes["training.batches"]) == (START + 1, 3)
    first.close()
    second.close()


def test_session_that_comes_back_is_as_its_other_owner_left_it(tmp_path):
    """Nothing is left from before it moved."""
    first, second = World(tmp_path / "1"), World(tmp_path / "2")
    session = first.register()
    first.happen(session, batch(1, 0), at=START + 1)
    first.commit()
    there = first.restored(session)
    first.happen(session, Moved(), at=START + 2)
    second.sink.replay(there, Registered(), START + 2)
    second.happen(there, averages(1), batch(2, 0), at=START + 3)
    here = second.restored(there)
    second.happen(there, Moved(), at=START + 4)

    first.sink.replay(here, Registered(), START + 4)
    first.happen(here, StatusChange(Status.COMPLETED), Ended(Stage.ENDED), at=START + 5)

    names = [(span.name, span.attributes.get("training.epoch")) for span in first.spans()]
    assert names[1:] == [("training.epoch", 2), ("training.session.end", None)]
    first.close()
    second.close()
