"""Ordinary loops of PyTorch, with `track` and with `watch`."""

import copy
import gc
import weakref
from pathlib import Path

import pytest
import torch
from support.markdown import blocks
from support.waiting import until_true
from torch.utils.data import DataLoader, TensorDataset

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.integrations.pytorch import watch
from bridge.client.process_hooks import registered
from bridge.client.testing import RecordingBridge

PAGE = Path(__file__).parents[2] / "docs" / "frameworks" / "pytorch.md"


def digits(count=12, size=4):
    """Return a loader of pictures (N, 1, 8, 8) and their classes."""
    torch.manual_seed(0)
    images, labels = torch.rand(count, 1, 8, 8), torch.arange(count) % 10
    return DataLoader(TensorDataset(images, labels), size)


def linear():
    """Return a model and its optimizer."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def train(model, criterion, optimizer, loader, *, between=lambda: None):
    """Train for one epoch, as tutorials do; return the losses."""
    losses = []
    for images, labels in loader:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        between()
    return losses


@pytest.fixture
def recorder():
    """Return a bridge that records."""
    return RecordingBridge()


def test_a_loop_with_one_line_more_shows_its_steps_with_images(recorder):
    """Losses are those of the loop, and the weights those of a loop without the line."""
    model, optimizer = linear()
    alone = copy.deepcopy(model)
    train(alone, torch.nn.CrossEntropyLoss(), torch.optim.SGD(alone.parameters(), lr=0.1), digits())

    criterion = torch.nn.CrossEntropyLoss()
    session = watch(model, criterion, optimizer, address=recorder, strict=True)
    losses = train(model, criterion, optimizer, digits())
    session.close()

    assert [batch.step for batch in recorder.batches] == [0, 1, 2]
    assert [batch.loss for batch in recorder.batches] == pytest.approx(losses)
    assert [len(batch.images) for batch in recorder.batches] == [4, 4, 4]
    assert recorder.batches[1].ground_truth == (4, 5, 6, 7)
    assert len(recorder.batches[1].predictions) == 4
    assert recorder.identity.config.model == "Sequential"
    assert torch.equal(model[1].weight, alone[1].weight)


def test_validation_and_tries_are_not_steps(recorder):
    """Nor does what they compute become the loss of the next step."""
    model, optimizer = linear()
    criterion = torch.nn.CrossEntropyLoss()
    session = watch(model, criterion, optimizer, address=recorder, strict=True)
    images, labels = next(iter(digits()))

    def validate():
        model.eval()
        with torch.no_grad():
            criterion(model(images * 100), labels)
        model.train()

    losses = train(model, criterion, optimizer, digits(), between=validate)
    session.close()

    assert [batch.loss for batch in recorder.batches] == pytest.approx(losses)


def test_a_watched_loop_obeys(recorder):
    """Another learning rate, and a pause behind a step."""
    model, optimizer = linear()
    criterion = torch.nn.CrossEntropyLoss()
    session = watch(model, criterion, optimizer, address=recorder, strict=True)
    recorder.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.5)
    recorder.send_command(CommandType.STOP_TRAINING)
    seen = []
    train(
        model,
        criterion,
        optimizer,
        digits(),
        between=lambda: seen.append((optimizer.param_groups[0]["lr"], session.should_stop)),
    )
    session.close()

    assert seen == [(0.5, True)] * 3
    assert [answer.applied for answer in recorder.answers] == [True, True]


@pytest.mark.parametrize("criterion", [None, "another"])
def test_a_loss_that_is_not_seen_is_not_reported(recorder, criterion):
    """A step without one is a step."""
    model, optimizer = linear()
    given = torch.nn.MSELoss() if criterion else None
    session = watch(model, given, optimizer, address=recorder, strict=True)
    train(model, torch.nn.functional.cross_entropy, optimizer, digits())
    session.close()

    assert [batch.loss for batch in recorder.batches] == [None] * 3


def test_a_function_says_what_the_images_are(recorder):
    """And one that raises costs its own steps only."""
    model, optimizer = linear()
    criterion = torch.nn.CrossEntropyLoss()
    calls = []

    def images(batch, predicted):
        calls.append((batch[1].tolist(), tuple(predicted.shape), predicted.requires_grad))
        if len(calls) == 2:
            raise RuntimeError("no images")
        return batch[0][:1], predicted[:1], batch[1][:1]

    session = watch(model, criterion, optimizer, images=images, address=recorder)
    train(model, criterion, optimizer, digits())
    faults = session.stats.faults
    session.close()

    assert calls[0] == ([0, 1, 2, 3], (4, 10), False)
    assert [len(batch.images) for batch in recorder.batches] == [1, 1]
    assert faults == 1


def test_a_cell_that_is_run_again_watches_once(recorder):
    """The new session has the steps, the old one is over."""
    model, optimizer = linear()
    criterion = torch.nn.CrossEntropyLoss()
    for _ in range(2):
        session = watch(model, criterion, optimizer, address=recorder, session_id="run")
        train(model, criterion, optimizer, digits())
    session.close()

    assert [batch.step for batch in recorder.batches] == [0, 1, 2] * 2
    assert session.stats.left_out == {}


def test_what_is_watched_is_freed_as_the_program_drops_it(recorder):
    """As in a notebook that makes its model anew: its session ends by that."""
    model, optimizer = linear()
    watch(model, torch.nn.CrossEntropyLoss(), optimizer, address=recorder)
    kept = weakref.ref(optimizer)
    del model, optimizer
    gc.collect()

    assert kept() is None
    until_true(lambda: not registered(), what="the session has ended")
    assert recorder.statuses[-1][0] is Status.COMPLETED
    TrainingSession(RecordingBridge()).close()  # only the main thread can leave SIGTERM alone again


def test_a_session_that_was_given_is_left_open(recorder):
    """Its program ends it."""
    model, optimizer = linear()
    criterion = torch.nn.CrossEntropyLoss()
    with TrainingSession(recorder, strict=True) as session:
        assert watch(model, criterion, optimizer, session=session) is session
        train(model, criterion, optimizer, digits())
        assert session.step == 2

    assert recorder.statuses[-1] == (Status.COMPLETED, "")


def test_distributed_samplers_and_rates_in_tensors(recorder):
    """What torch has, and fakes might not."""
    data = digits().dataset
    sampler = torch.utils.data.DistributedSampler(data, num_replicas=2, rank=0)
    model, _ = linear()
    optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.125))
    firsts = []
    with TrainingSession(recorder, strict=True) as session:
        session.controls(optimizer=optimizer)
        for _, (_, labels) in session.track(DataLoader(data, 3, sampler=sampler), epochs=2):
            firsts.append(labels.tolist())
            session.log_batch(torch.tensor(0.5))
        recorder.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.5)
        session.log_batch(0.5, epoch=1, batch=9)

    assert firsts[:2] != firsts[2:]  # shuffled anew
    assert [epoch.learning_rate for epoch in recorder.epochs] == [0.125, 0.125]
    assert [epoch.loss for epoch in recorder.epochs] == [0.5, 0.5]
    assert float(optimizer.param_groups[0]["lr"]) == 0.5


def test_the_examples_of_the_page_run(monkeypatch, tmp_path):
    """One after the other, as a reader of the page would."""
    bridges = []

    def to_recorder(self, _address="", **options):
        bridges.append(RecordingBridge())
        made(self, bridges[-1], **options, strict=True)

    made = TrainingSession.__init__
    monkeypatch.setattr(TrainingSession, "__init__", to_recorder)
    monkeypatch.chdir(tmp_path)
    names = {"loader": digits(), "validate": lambda _model: 0.25}
    for example in blocks(PAGE.read_text(), "python"):
        exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102 -- our own documents
    names["session"].close()

    assert [len(each.batches) for each in bridges] == [9, 9, 9]
    assert [len(each.epochs) for each in bridges] == [3, 3, 0]
    assert all(batch.images for each in bridges for batch in each.batches)
    until_true(lambda: all(each.statuses[-1][0] is Status.COMPLETED for each in bridges))
