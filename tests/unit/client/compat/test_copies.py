"""Writers and runs that are brought to another process, as those of a trainer that spawns its workers."""

import copy
import pickle

from bridge.client.compat import wandb
from bridge.client.compat.tensorboard import SummaryWriter
from bridge.client.testing import RecordingBridge


def test_a_copy_of_a_writer_is_inert(caplog):
    """It takes every call, sends nothing, and says once that it does not; the writer itself goes on."""
    bridge = RecordingBridge()
    writer = SummaryWriter("runs/x", address=bridge)
    twin = pickle.loads(pickle.dumps(writer))  # noqa: S301 -- our own
    for step in range(3):
        twin.add_scalar("loss", 0.5, step)
    writer.add_scalar("loss", 0.25, 0)
    twin.close()
    writer.close()

    assert [batch.loss for batch in bridge.batches] == [0.25]
    assert twin.session.stats.left_out == {"batches: copy": 3}
    assert len([record for record in caplog.records if "only a copy" in record.message]) == 1


def test_a_copy_of_a_run_is_inert():
    """As that of a writer."""
    bridge = RecordingBridge()
    run = wandb.init(config={"lr": 0.5}, address=bridge)
    twin = copy.deepcopy(run)
    twin.log({"loss": 0.5})
    twin.config.lr = 0.25
    run.log({"loss": 0.25})
    wandb.finish()

    assert [batch.loss for batch in bridge.batches] == [0.25]
    assert (run.config.lr, twin.config.lr) == (0.5, 0.25)
    assert not bridge.events


def test_a_copy_of_the_configuration_is_a_dictionary_of_its_own():
    """As scripts make one to change it."""
    bridge = RecordingBridge()
    run = wandb.init(config={"lr": 0.5, "layers": [1, 2]}, address=bridge)
    mine = copy.deepcopy(run.config)
    mine.lr = 0.25
    mine["layers"].append(3)
    assert run.config.as_dict() == dict(run.config) == {"lr": 0.5, "layers": [1, 2]}
    run.log({"loss": 0.5})
    wandb.finish()
    assert not bridge.events
