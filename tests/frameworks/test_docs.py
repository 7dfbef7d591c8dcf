"""The examples on the pages of frameworks run as they stand, one after the other, and report to a bridge."""

import re
import subprocess
import sys

import pytest
from support.markdown import blocks
from support.tools import ROOT

PAGES = {
    "lightning": (
        """
from test_lightning import loader, module_of
from functools import partial
import lightning.pytorch
lightning.pytorch.Trainer = partial(
    lightning.pytorch.Trainer, max_epochs=1, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False)
""",
        """
trainer.fit(module_of("lightning.pytorch"), loader())
""",
    ),
    "transformers": (
        """
from pathlib import Path
from test_transformers import Texts, arguments, language_model
from transformers import Trainer
model, args, data = language_model(), arguments(Path("out"), max_steps=3), Texts()
""",
        """
trainer.train()
""",
    ),
    "accelerate": (
        """
import torch
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = [(None, None)] * 3
def train_step(images, labels):
    return 0.5
""",
        """
accelerator.end_training()
""",
    ),
    "keras": (
        """
import keras, numpy
model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x, y = numpy.zeros((8, 2)), numpy.zeros((8, 1))
""",
        "",
    ),
    "jax": (
        """
from types import SimpleNamespace
import jax.numpy as jnp
from bridge.client import TrainingSession
state, batches = None, [(jnp.zeros((2, 8, 8, 1)), jnp.array([0, 1]))] * 3
def train_step(state, images, labels):
    return state, jnp.array(0.5), jnp.zeros((2, 3))
opt_state = SimpleNamespace(hyperparams={"learning_rate": 0.1})
session = TrainingSession()
""",
        """
session.close(60)
""",
    ),
}
"""What a page leaves to its reader: before its examples, and after them."""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(tmp_path, bridge, page):
    """Each example of it, in one program, whose steps arrive."""
    before, after = PAGES[page]
    examples = blocks((ROOT / f"docs/frameworks/{page}.md").read_text(), "python")
    if page == "jax":
        examples = [re.sub(r"\n    \.\.\.$", "\n    pass", each.rstrip()) for each in examples]
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "frameworks")]
    program = tmp_path / "program.py"
    program.write_text("\n".join((f"import sys\nsys.path[:0] = {paths}", before, *examples, after)))
    ran = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={
            "PATH": "",
            "HOME": str(tmp_path),
            "KERAS_BACKEND": "torch",
            "TRAINBRIDGE_ADDRESS": bridge.address,
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert len(bridge.of("batch_data")) >= 1
