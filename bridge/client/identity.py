"""Who speaks for a session."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bridge.wire import metrics_pb2 as wire


@dataclass(frozen=True, slots=True)
class Plan:
    """How the run was configured; 0 and "" mean not told."""

    model: str = ""
    dataset: str = ""
    epochs: int = 0
    batches_per_epoch: int = 0
    batch_size: int = 0
    class_names: tuple[str, ...] = ()

    def to_wire(self) -> wire.TrainingConfig:
        """Return what the protocol calls it."""
        return wire.TrainingConfig(
            total_epochs=self.epochs,
            batches_per_epoch=self.batches_per_epoch,
            batch_size=self.batch_size,
            model_name=self.model,
            dataset_name=self.dataset,
            class_names=self.class_names,
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who registers."""

    session_id: str
    instance_id: str
    client_name: str
    client_version: str
    plan: Plan
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return what `of_json` takes; no secrets are in it."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def of_json(cls, text: str) -> "Identity":
        """Return who was written down; raises ValueError where that cannot be read."""
        try:
            told: dict[str, Any] = json.loads(text)
            plan = told.pop("plan")
            plan["class_names"] = tuple(plan["class_names"])
            return cls(**told, plan=Plan(**plan))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("this does not tell who registers") from error
