"""Commands that an assistant may send to a training loop, where that was allowed."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field

from bridge.client.query import BridgeClient
from bridge.client.query_watching import OPEN_STATES
from bridge.mcp.plain import plain
from bridge.protocol import CommandType

WAIT_SECONDS = 30.0

NOT_YET = (
    "the loop has not answered yet: the command stays with the bridge, so do not send it again;"
    " session_commands shows what becomes of it"
)

SessionId = Annotated[
    str, Field(description="The id of a session that runs, as list_sessions returns it.")
]


class Commanding:
    """Sends commands through one bridge, and waits for what the loop makes of each."""

    def __init__(self, client: BridgeClient, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Wait so long for an answer."""
        self._client = client
        self._wait_seconds = wait_seconds

    def pause_training(self, session_id: SessionId) -> dict[str, Any]:
        """Hold the training loop after its batch, until resume_training or stop_training. Ask the user before.

        A paused run keeps its GPUs and its memory. The answer has `state` applied or refused, with the loop's words.
        """
        return self._send(session_id, CommandType.PAUSE_TRAINING)

    def resume_training(self, session_id: SessionId) -> dict[str, Any]:
        """Let a paused training loop go on."""
        return self._send(session_id, CommandType.RESUME_TRAINING)

    def stop_training(self, session_id: SessionId) -> dict[str, Any]:
        """End a training run for good, after its batch. It cannot be taken back: ask the user before.

        What the loop has not saved is lost; save_checkpoint first where it obeys that.
        """
        return self._send(session_id, CommandType.STOP_TRAINING)

    def save_checkpoint(self, session_id: SessionId) -> dict[str, Any]:
        """Have the training loop save a checkpoint; refused by loops that have no callback for it."""
        return self._send(session_id, CommandType.SAVE_CHECKPOINT)

    def change_learning_rate(
        self,
        session_id: SessionId,
        learning_rate: Annotated[
            float,
            Field(gt=0, le=1000, description="The new rate, above 0. A bridge may allow less."),
        ],
    ) -> dict[str, Any]:
        """Change the learning rate of a running loop from its next batch on. Ask the user before.

        Loops without a callback for it refuse, and so does a bridge whose bounds are narrower; its words say so.
        """
        return self._send(
            session_id, CommandType.CHANGE_LEARNING_RATE, {"learning_rate": learning_rate}
        )

    def adjust_batch_size(
        self,
        session_id: SessionId,
        batch_size: Annotated[
            int, Field(ge=1, le=1_000_000, description="Samples. A bridge may allow less.")
        ],
    ) -> dict[str, Any]:
        """Change the batch size of a running loop; many loops cannot, and refuse with the reason. Ask the user before."""
        return self._send(session_id, CommandType.ADJUST_BATCH_SIZE, {"batch_size": batch_size})

    @property
    def tools(self) -> Mapping[Callable[..., dict[str, Any]], bool]:
        """Return the tools, each with whether it destroys something."""
        return {
            self.pause_training: False,
            self.resume_training: False,
            self.stop_training: True,
            self.save_checkpoint: False,
            self.change_learning_rate: True,
            self.adjust_batch_size: True,
        }

    def _send(
        self,
        session_id: str,
        type: CommandType,
        parameters: Mapping[str, str | float] | None = None,
    ) -> dict[str, Any]:
        command = self._client.submit_command(
            session_id, type, parameters, command_id=f"mcp-{uuid4().hex}", by="mcp"
        )
        command = self._client.answered(command, self._wait_seconds)
        answer: dict[str, Any] = plain(command)
        return answer | {"next": NOT_YET if command.state in OPEN_STATES else None}
