"""BridgeClient against a real bridge that a real training loop streams to."""

import pytest
from support.bridges import running_bridge
from support.jpegs import jpeg
from support.waiting import until_true

from bridge.client import BridgeClient, CommandType, TrainingSession
from bridge.client.query import ProblemError

BATCHES = 5


def test_a_run_is_read_back_and_stopped(tmp_path):
    """Sessions, losses, images and commands come back as the loop sent and answered them."""
    with (
        running_bridge(tmp_path / "state", "--images-keep", "all") as bridge,
        TrainingSession(
            bridge.grpc, session_id="run-1", epochs=3, class_names=("cat", "dog")
        ) as session,
    ):
        client = BridgeClient(f"http://{bridge.http}")
        client.check_ready()
        # Until it has heard from the bridge, the SDK does not know that all images are wanted.
        until_true(lambda: any(one.connected for one in client.sessions()))
        images = [jpeg(16, 16, 40 * number) for number in range(BATCHES)]
        for number, image in enumerate(images):
            session.log_batch(
                number / 4,
                epoch=1,
                batch=number,
                images=[image],
                predictions=[(1, 0.5)],
                ground_truth=[number % 2],
            )
        until_true(lambda: len(list(client.batches("run-1"))) == BATCHES)
        batches = list(client.batches("run-1", page_size=2))

        assert [batch.loss for batch in batches] == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert [one.is_wrong for batch in batches for one in batch.images] == [
            True,
            False,
            True,
            False,
            True,
        ]
        assert [client.image("run-1", one.epoch, one.batch, 0) for one in batches] == images
        details = client.session("run-1")
        assert (details.epoch, details.total_epochs, details.batches) == (1, 3, BATCHES)
        assert "training_batches_total" in client.metrics()

        command = client.submit_command("run-1", CommandType.STOP_TRAINING)
        until_true(lambda: session.should_stop)
        until_true(lambda: client.commands("run-1")[0].state == "applied")
        assert client.commands("run-1")[0].command_id == command.command_id
        with pytest.raises(ProblemError) as caught:
            client.session("run-2")
        assert caught.value.status == 404
