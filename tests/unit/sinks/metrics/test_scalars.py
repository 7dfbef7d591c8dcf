"""Series of numbers that a run logs by name, of its steps, and of its events."""

import math
import re

import pytest
from support.series import OPENMETRICS, Scene

from bridge.model import Batch, Level, Occurrence, Performance, Scalars
from bridge.scalar_history import NAMES_LIMIT, SPLITS_LIMIT
from bridge.sinks.metrics.occurrences import EVENT_NAMES_LIMIT


@pytest.fixture
def scene():
    """Sessions with a metrics sink."""
    return Scene()


def consume(scene, session, *events):
    """Have events happen to a session."""
    scene.tell(session, *events)


def scalars(values, split="", step=None):
    """Return numbers by name."""
    return Scalars(0, 0, values, step, split)


def event(name):
    """Return an event."""
    return Occurrence(name, "", Level.INFO, {}, 0, 0)


def labels(**values):
    """Return the labels of a sample as `values` has them."""
    return tuple(sorted(values.items()))


def test_a_split_is_a_label_where_there_is_one(scene):
    """Numbers without a split have the labels that they always had."""
    session = scene.session()

    consume(scene, session, scalars({"loss": 1.0}), scalars({"loss": 2.0}, "train"))

    page = scene.page()
    assert 'training_metric{session_id="run-1",name="loss"} 1.0' in page
    assert 'training_metric{session_id="run-1",name="loss",split="train"} 2.0' in page


def test_extremes_between_scrapes_are_kept(scene):
    """The highest and the lowest value of each name and split stay for a scrape, and then go."""
    session = scene.session()

    consume(scene, session, *[scalars({"norm": value}, "train") for value in (1.0, 9.0, -3.0, 2.0)])
    consume(scene, session, scalars({"norm": math.nan}, "train"))

    assert scene.values("training_metric_interval_max") == {labels(name="norm", split="train"): 9.0}
    assert scene.values("training_metric_interval_min") == {
        labels(name="norm", split="train"): -3.0
    }
    scene.now += 31
    assert scene.values("training_metric_interval_max") == {}


def test_names_and_splits_are_bounded_and_counted(scene):
    """What is beyond the limits has no series, and is counted with its reason."""
    session = scene.session()
    names = {f"name{number}": 1.0 for number in range(NAMES_LIMIT + 2)}

    consume(scene, session, scalars(names, "split0"))
    consume(
        scene, session, *[scalars({"name0": 1.0}, f"split{n}") for n in range(SPLITS_LIMIT + 3)]
    )

    assert len(scene.values("training_metric")) == NAMES_LIMIT + SPLITS_LIMIT - 1
    assert len(scene.values("training_metric_interval_max")) == NAMES_LIMIT + SPLITS_LIMIT - 1
    assert scene.dropped("scalar", "names_limit") == 2
    assert scene.dropped("scalar", "splits_limit") == 3


def test_names_with_a_family_of_their_own_feed_it(scene):
    """Learning rate, gradient norm and MFU are found under their own names, and only there."""
    session = scene.session()
    values = {"learning_rate": 3e-4, "gradient_norm": 1.5, "mfu": 0.41, "cer": 0.2}

    consume(scene, session, scalars(values, "train"))

    assert scene.values("training_metric") == {labels(name="cer", split="train"): 0.2}
    assert scene.values("training_learning_rate") == {(): 3e-4}
    assert scene.values("training_gradient_norm") == {(): 1.5}
    assert scene.values("training_mfu_ratio") == {(): 0.41}


def test_an_mfu_in_percent_is_not_a_ratio(scene):
    """A value above 1 is not shown as one, and is counted."""
    session = scene.session()

    consume(scene, session, scalars({"mfu": 41.0}))

    assert scene.values("training_mfu_ratio") == {}
    assert scene.dropped("scalar", "out_of_range") == 1


def test_steps_and_tokens_are_shown_where_they_are_reported(scene):
    """A session that counts by steps says which it has reached, and what it has trained on."""
    plain, steps = scene.session("plain"), scene.session("steps")

    consume(scene, plain, Batch(0, 0, 1.0))
    consume(
        scene,
        steps,
        Batch(0, 0, 1.0, step=0, tokens=100),
        Batch(0, 1, 1.0, step=1, tokens=120),
        scalars({"loss": 1.0}, step=0),
    )

    assert scene.values("training_step") == {(): 1}
    assert scene.values("training_tokens_total") == {(): 220}


def test_scalars_alone_say_how_far_a_run_is(scene):
    """A loop that logs nothing but scalars has a step, too."""
    session = scene.session()

    consume(scene, session, scalars({"loss": 1.0}, step=12))

    assert scene.values("training_step") == {(): 12}


def test_a_rank_that_only_measures_says_how_far_it_is(scene):
    """It sends no batches, and reports its step with what it measures."""
    session = scene.session()

    consume(scene, session, Performance(batches=40, step=1_040))

    assert scene.values("training_step") == {(): 1_040}


def test_an_exemplar_names_its_step(scene):
    """The batch of an exemplar stays what links to its images need, with the step beside it."""
    session = scene.session()

    consume(scene, session, Batch(0, 70_000, 0.5, step=70_000), Batch(1, 2, 5.0))

    page = scene.page(OPENMETRICS)
    assert 'batch="0-70000",step="70000"} 0.5' in page
    assert 'batch="1-2"} 5.0' in page
    exemplar = f'{{trace_id="{"f" * 64}",batch="{2**32 - 1}-{2**32 - 1}",step="{2**64 - 1}"}}'
    assert len(re.sub(r'[{}",=]', "", exemplar)) <= 128


def test_events_are_counted_by_name(scene):
    """Each name has a count, up to a limit from which on they are "other"."""
    session = scene.session()

    consume(scene, session, event("lr drop"), event("lr drop"))
    consume(scene, session, *[event(f"event{number}") for number in range(EVENT_NAMES_LIMIT + 1)])
    consume(scene, session, event("other"))

    counted = scene.values("training_events_total")
    assert len(counted) == EVENT_NAMES_LIMIT + 1
    assert counted[labels(name="other")] == 3
    assert 2 in counted.values()
    assert scene.dropped("event_name", "limit") == 2


def test_a_session_without_the_new_fields_has_the_series_that_it_had(scene):
    """Steps, splits and events cost those nothing that do not report them, also on disk."""
    session = scene.session()

    consume(scene, session, Batch(1, 2, 0.5), scalars({"cer": 0.2}))

    page = scene.page()
    for name in ("training_step", "training_tokens", "training_events", "training_gradient_norm"):
        assert name not in page
    state = scene.metrics.snapshot(session)
    assert not {"step", "tokens", "gradient_norm", "mfu_ratio"} & set(state)
