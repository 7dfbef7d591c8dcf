"""A SummaryWriter that reports to a bridge: what becomes of the calls of a script."""

import logging
import threading

import numpy as np
import pytest
from matplotlib import pyplot as plt

from bridge.client import Status, TrainingSession
from bridge.client.compat.tensorboard import SummaryWriter
from bridge.client.testing import RecordingBridge


@pytest.fixture
def bridge():
    """Return a bridge that records what a script reports."""
    return RecordingBridge()


def scalars(bridge):
    """Return {(name, split, step): value} of everything that was reported."""
    return {
        (name, call.split, call.step): pytest.approx(value)
        for call in bridge.scalars
        for name, value in call.values.items()
    }


def test_the_loss_makes_batches_and_all_else_is_a_curve(bridge):
    """By its tag; splits are taken from tags, and the learning rate has its own series."""
    with SummaryWriter("runs/cnn", address=bridge, strict=True) as writer:
        for step in range(3):
            writer.add_scalar("Loss/train", 0.5 - step / 4, step)
            writer.add_scalar("Loss/val", 0.75, step)
            writer.add_scalar("Accuracy/train", 0.25, global_step=step, walltime=1.0)
        writer.add_scalar("lr", 0.125, np.int64(2), new_style=True)

    assert [(batch.step, batch.loss) for batch in bridge.batches] == [(0, 0.5), (1, 0.25), (2, 0.0)]
    expected = {("Loss", "validation", step): 0.75 for step in range(3)}
    expected |= {("Accuracy", "train", step): 0.25 for step in range(3)}
    assert scalars(bridge) == expected | {("learning_rate", "", 2): 0.125}
    assert bridge.identity.config.model == "cnn"
    assert bridge.statuses[-1][0] is Status.COMPLETED


def test_writers_of_train_and_val_are_one_run(bridge):
    """Which ends with the last of them; the split of each folder is that of its numbers."""
    train = SummaryWriter("logs/night/train", address=bridge, strict=True)
    val = SummaryWriter("logs/night/val", address=bridge, strict=True)
    assert train.session is val.session
    for step in range(2):
        train.add_scalar("loss", 0.5, step)
        val.add_scalar("loss", 0.75, step)
    train.close()
    train.close()
    val.add_scalar("accuracy", 0.25, 1)
    val.close()

    assert [batch.loss for batch in bridge.batches] == [0.5, 0.5]
    assert scalars(bridge) == {
        ("loss", "validation", 0): 0.75,
        ("loss", "validation", 1): 0.75,
        ("accuracy", "validation", 1): 0.25,
    }
    assert bridge.identity.config.model == "night"
    assert [status.name for status, _ in bridge.statuses].count("COMPLETED") == 1


def test_other_folders_are_other_runs():
    """As in a sweep: each folder has its session, also one that was used before."""
    bridges = [RecordingBridge() for _ in range(3)]
    for folder, bridge in zip(("runs/a", "runs/b", "runs/a"), bridges, strict=True):
        writer = SummaryWriter(folder, address=bridge, strict=True)
        writer.add_scalar("loss", 0.5, 0)
        writer.close()

    names = {bridge.identity.session_id for bridge in bridges}
    assert len(names) == 3


def test_add_scalars_knows_splits(bridge):
    """A key that is a split is one; any other becomes part of the name."""
    with SummaryWriter("runs/rl", address=bridge, strict=True) as writer:
        writer.add_scalars("Loss", {"train": 0.5, "validation": 0.75}, 7)
        writer.add_scalars("reward", {"mean": 1.5, "max": 3.0}, 7)

    assert [(batch.step, batch.loss) for batch in bridge.batches] == [(7, 0.5)]
    assert scalars(bridge) == {
        ("Loss", "validation", 7): 0.75,
        ("reward/mean", "", 7): 1.5,
        ("reward/max", "", 7): 3.0,
    }


@pytest.mark.parametrize(
    ("shape", "layout", "size"),
    [
        ((3, 6, 8), "CHW", 1),
        ((6, 8, 3), "HWC", 1),
        ((6, 8), "HW", 1),
        ((2, 3, 6, 8), "NCHW", 2),
        ((2, 6, 8, 3), "NHWC", 2),
        ((2, 6, 8), "NHW", 2),
    ],
)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_pictures_in_each_layout(bridge, library, shape, layout, size):
    """They stand beside the loss of their step, whichever is first."""
    array = np.zeros(shape, np.uint8)
    if library == "torch":
        array = pytest.importorskip("torch").from_numpy(array)
    with SummaryWriter("runs/x", address=bridge, strict=True) as writer:
        add = writer.add_images if "N" in layout else writer.add_image
        add("samples", array, 0, dataformats=layout)
        writer.add_scalar("loss", 0.5, 0)
        add("samples", array, 0, dataformats=layout)

    assert [(batch.step, batch.loss, len(batch.images)) for batch in bridge.batches] == [
        (0, 0.5, size),
        (0, None, size),
    ]
    assert all(image for batch in bridge.batches for image in batch.images)


def test_pictures_that_wait_are_what_they_were(bridge):
    """The script may go on to use its array; pictures of another step are not those of the loss."""
    image = np.zeros((1, 8, 8), np.uint8)
    with SummaryWriter("runs/x", address=bridge, strict=True) as writer:
        writer.add_image("samples", image, 0)
        image += 255
        writer.add_scalar("loss", 0.5, 1)
        writer.add_image("samples", image, 2)

    assert [(batch.step, batch.loss) for batch in bridge.batches] == [
        (0, None),
        (1, 0.5),
        (2, None),
    ]
    assert bridge.batches[0].images != bridge.batches[2].images


def test_pictures_wait_for_no_later_step(bridge):
    """They are on their way as soon as the script goes on to another step."""
    with SummaryWriter("runs/x", address=bridge, strict=True) as writer:
        writer.add_image("samples", np.zeros((1, 8, 8), np.uint8), 3)
        writer.add_scalar("Accuracy/val", 0.5, 4)
        writer.session.flush(60)
        assert [(batch.step, len(batch.images)) for batch in bridge.batches] == [(3, 1)]


def test_what_a_bridge_has_no_place_for_is_said_once(bridge, caplog):
    """Nothing raises, each call counts, and one line of the log says what to do instead."""
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        SummaryWriter("runs/x", address=bridge) as writer,
    ):
        for _ in range(3):
            writer.add_graph(object(), None)
            writer.add_embedding(np.zeros((2, 2)), tag="words")
        writer.add_pr_curve("cats", labels=[1], predictions=[0.5], global_step=1)
        writer.add_image("wrong", np.zeros((3, 8)), 1)
        writer.add_scalar("loss", object(), 1)
        left_out = writer.session.stats.left_out
        with pytest.raises(AttributeError, match="migration/tensorboard"):
            writer.add_smell("roses")

    assert left_out["add_graph: not supported"] == 3
    assert left_out["add_embedding: not supported"] == 3
    assert left_out["images: unreadable"] == 1
    said = [record.message for record in caplog.records if "add_graph" in record.message]
    assert len(said) == 1
    assert "keep the original writer" in said[0]


def test_hyperparameters_are_the_configuration(bridge):
    """Where they come before the run begins; else an event shows them. Metrics are scalars, secrets are neither."""
    with SummaryWriter("runs/sweep", address=bridge) as writer:
        writer.add_hparams({"lr": 0.5, "api_key": "sk-1"}, {"hparam/accuracy": 0.25})
        writer.add_scalar("loss", 0.5, 0)
        writer.add_hparams({"lr": 0.5, "level": 3}, {"val/accuracy": 0.75}, run_name="x")

    assert bridge.config == {"lr": 0.5}
    assert [(event.name, event.details) for event in bridge.events] == [
        ("config", {"lr": "0.5", "level_": "3"})
    ]
    assert scalars(bridge) == {
        ("hparam/accuracy", "", None): 0.25,
        ("accuracy", "validation", 0): 0.75,
    }


def test_distributions_are_quantiles(bridge, caplog):
    """Of the first three tags, since a bridge shows a bounded number of curves."""
    torch = pytest.importorskip("torch")
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        SummaryWriter("runs/x", address=bridge) as writer,
    ):
        for layer in range(4):
            writer.add_histogram(f"layer{layer}/weight", torch.arange(101.0), 5)
        writer.add_histogram_raw("layer0/weight", 0, 4, 4, 8, 20, [1, 2, 4, 9], [0, 2, 2, 0], 6)
        left_out = writer.session.stats.left_out

    found = scalars(bridge)
    assert found["layer2/weight/p5", "", 5] == 5.0
    assert found["layer2/weight/p50", "", 5] == 50.0
    assert ("layer3/weight/p50", "", 5) not in found
    assert found["layer0/weight/p50", "", 6] == 2.0
    assert found["layer0/weight/p0", "", 6] == 1.0
    assert left_out == {"histograms: not supported": 1}


def test_texts_are_events_and_figures_pictures(bridge):
    """A figure is closed as the original does."""
    with SummaryWriter("runs/x", address=bridge, strict=True) as writer:
        writer.add_text("notes", "a longer warm-up", 0)
        figure = plt.figure(figsize=(1, 1))
        writer.add_figure("predictions", figure, 4)
        writer.add_scalar("training loss", 0.5, 4)

    assert [(event.name, event.message) for event in bridge.events] == [
        ("notes", "a longer warm-up")
    ]
    assert [(batch.step, len(batch.images)) for batch in bridge.batches] == [(4, 1)]
    assert not plt.fignum_exists(figure.number)


def test_the_loss_can_be_named(bridge, caplog):
    """And a run in which no tag is called so says what to do."""
    with SummaryWriter("runs/a", address=bridge, loss_tag="losses/value_loss") as writer:
        writer.add_scalar("losses/value_loss", 0.5, 2048)
        writer.add_scalar("loss", 0.75, 2048)
    both = RecordingBridge()
    with SummaryWriter("runs/c", address=both) as writer:
        for tag in ("train/loss", "train_loss"):
            writer.add_scalar(tag, 0.5, 0)
    assert (len(both.batches), scalars(both)) == (1, {("loss", "train", 0): 0.5})
    other = RecordingBridge()
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        SummaryWriter("runs/b", address=other) as writer,
    ):
        writer.add_scalar("losses/value_loss", 0.5, 2048)

    assert [(batch.step, batch.loss) for batch in bridge.batches] == [(2048, 0.5)]
    assert scalars(bridge) == {("loss", "", 2048): 0.75}
    assert not other.batches
    assert [record.message for record in caplog.records if "loss_tag=" in record.message]


def test_an_exception_in_the_block_is_how_the_run_ended(bridge):
    """FAILED, with its type and message; it goes on its way."""

    def train():
        with SummaryWriter("runs/x", address=bridge) as writer:
            writer.add_scalar("loss", 0.5, 0)
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        train()

    assert bridge.statuses[-1] == (Status.FAILED, "RuntimeError: out of luck")


def test_a_session_that_is_given_goes_on(bridge):
    """The writer reports to it beside what the loop reports itself."""
    with TrainingSession(bridge, strict=True) as session:
        with SummaryWriter(session=session) as writer:
            writer.add_scalar("loss", 0.5, 0)
        session.log_batch(0.25, step=1)

    assert [batch.loss for batch in bridge.batches] == [0.5, 0.25]
    with pytest.raises(TypeError, match="'dataset' is given beside a session"):
        SummaryWriter(session=session, dataset="cifar10")


def test_threads_take_turns(bridge):
    """As those of several environments, which share the writer: nothing is lost."""
    writer = SummaryWriter("runs/x", address=bridge, strict=True)

    def report(number):
        for step in range(200):
            writer.add_scalar("loss", 0.5, step)
            writer.add_scalar(f"return/{number}", 1.0, step)

    threads = [threading.Thread(target=report, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    assert len(bridge.batches) == 800
    assert {name for name, _, _ in scalars(bridge)} == {f"return/{n}" for n in range(4)}
    assert len(bridge.scalars) == 800


def test_both_originals_signatures(bridge, tmp_path):
    """Of PyTorch and of tensorboardX; a folder is made where the script asks for it."""
    folder = tmp_path / "runs" / "a"
    writer = SummaryWriter(
        logdir=folder, purge_step=100, max_queue=5, flush_secs=30, address=bridge, strict=True
    )
    assert not folder.exists()
    assert writer.get_logdir() == writer.logdir == writer.log_dir == str(folder)
    assert folder.is_dir()
    writer.add_scalar("loss", 0.5, 100, display_name="Loss", summary_description="of a step")
    with writer.use_metadata(global_step=101):
        writer.add_scalar("loss", 0.25)
    writer.add_hparams({}, {"hparam/best": 0.25}, "name", 102)
    writer.flush()
    writer.close()
    assert [batch.step for batch in bridge.batches] == [100, 101]
    assert scalars(bridge) == {("hparam/best", "", 102): 0.25}
    silent = SummaryWriter(write_to_disk=False)
    silent.add_scalar("loss", 0.5)
    silent.close()

    assert bridge.identity.resume_from.step == 100
    with pytest.raises(TypeError, match="unknown argument 'logs'"):
        SummaryWriter(logs="runs")


def test_what_cannot_be_reported_anywhere_costs_no_training(caplog):
    """An address that cannot be used is said once; the loop goes on."""
    with caplog.at_level(logging.WARNING, "trainbridge"):
        writer = SummaryWriter("runs/x", address="http://")
        for step in range(3):
            writer.add_scalar("loss", 0.5, step)
        writer.close()

    assert len([r for r in caplog.records if "nothing of this run is reported" in r.message]) == 1
    assert writer.session.should_stop is False
