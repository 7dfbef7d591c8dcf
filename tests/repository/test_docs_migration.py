"""The migration pages: their examples run, and their tables name what the drop-ins have."""

import re
from contextlib import nullcontext

import numpy as np
import pytest
from support.markdown import blocks, prose, tables_under
from support.repository import ROOT

import bridge.client.compat.wandb as drop_in
from bridge.client import Status, TrainingSession
from bridge.client.compat.not_taken import NOT_TAKEN
from bridge.client.compat.tags import LOSS_NAMES
from bridge.client.compat.tensorboard import SummaryWriter
from bridge.client.split_names import SPLITS
from bridge.client.testing import RecordingBridge

PAGES = {path.stem: path.read_text() for path in (ROOT / "docs" / "migration").glob("*.md")}

STANDS_FOR = {
    "from torch.utils.tensorboard import SummaryWriter as Original": (
        "from bridge.client.compat.tensorboard import SummaryWriter as Original"
    ),
    "import wandb as original": "import bridge.client.compat.wandb as original",
    "import mlflow\n": "",
}
"""What takes the place of a library that is not installed here, in the examples that run both."""

EXAMPLES = [
    pytest.param(page, number, id=f"{page}-{number}")
    for page, text in PAGES.items()
    for number, _ in enumerate(blocks(text, "python"))
]


class Mlflow:
    """Takes the calls of an original that runs beside a session."""

    def start_run(self, **_options):
        """Return a block."""
        return nullcontext()

    def __getattr__(self, _name):
        """Return a call that does nothing."""
        return lambda *_arguments, **_options: None


@pytest.fixture
def bridges(monkeypatch):
    """Return the bridges of the sessions that an example makes, one for each."""
    made = []

    class Session(TrainingSession):
        def __init__(self, _address="", **about):
            made.append(RecordingBridge())
            super().__init__(made[-1], **about | {"strict": True})

    monkeypatch.setattr("bridge.client.session.TrainingSession", Session)
    monkeypatch.setattr("bridge.client.compat.late_session.TrainingSession", Session)
    yield made
    drop_in.finish()


@pytest.mark.parametrize(("page", "number"), EXAMPLES)
def test_an_example_runs(page, number, bridges, tmp_path, monkeypatch):
    """As it stands, below the changed import of its page, and reports batches that arrive."""
    monkeypatch.chdir(tmp_path)
    example = blocks(PAGES[page], "python")[number]
    for original, ours in STANDS_FOR.items():
        example = example.replace(original, ours)
    given = {"mlflow": Mlflow()}
    for change in blocks(PAGES[page], "diff"):
        exec("\n".join(re.findall(r"^\+(.*)", change, re.MULTILINE)), given)  # noqa: S102 -- our own page
    exec("from bridge.client import TrainingSession", given)  # noqa: S102
    exec(compile(example, page, "exec"), given)  # noqa: S102

    drop_in.finish()
    assert [bridge for bridge in bridges if bridge.identity] == bridges
    assert any(bridge.batches for bridge in bridges) or "steps=2000" in example


def test_calls_instead_of_those_of_mlflow(bridges):
    """Each that the table names is one that a session takes, with nothing left out."""
    (rows,) = tables_under(PAGES["mlflow"]).values()
    calls = [call for row in rows for call in re.findall(r"`(session\.\w+\(.*?\))`", row[1])]
    assert len(calls) > 8
    given = {
        "loss": 0.5,
        "value": 0.5,
        "step": 1,
        "text": "said",
        "path": "a.pt",
        "params": {"lr": 0.5},
        "image": np.zeros((8, 8, 3), np.uint8),
        "Status": Status,
    }
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        for call in calls:
            if "jpeg" not in call:  # which is a file
                eval(call, given | {"session": session})  # noqa: S307 -- our own page


def test_the_table_of_a_summary_writer():
    """Every call it has, and no other."""
    rows = tables_under(PAGES["tensorboard"])["What becomes of each call"]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    own = {name for name in vars(SummaryWriter) if not name.startswith("_")}
    assert named == (own | set(NOT_TAKEN)) - {"session", "log_dir", "logdir"}


def test_the_table_of_wandb():
    """Every name that the module has."""
    rows = tables_under(PAGES["wandb"])["What becomes of each call"]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(drop_in.__all__) | drop_in._OF_THE_RUN


def test_the_words_of_tags():
    """Which are the loss, and which are splits."""
    said = " ".join(prose(PAGES["tensorboard"]).split())
    assert {name for name in LOSS_NAMES if name.replace("_", " ") not in said} == set()
    assert {word for word in SPLITS if f"`{word}`" not in said} == set()
