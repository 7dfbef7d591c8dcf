"""Who registers a session, and how its run is configured."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from bridge.wire import metrics_pb2 as wire


class ResumePoint(NamedTuple):
    """A place in a run; None is not reported."""

    epoch: int | None = None
    batch: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How the run was configured; 0 and "" mean not reported."""

    model: str = ""
    dataset: str = ""
    epochs: int = 0
    batches_per_epoch: int = 0
    batch_size: int = 0
    class_names: tuple[str, ...] = ()

    def to_wire(self) -> wire.TrainingConfig:
        """Return the protocol's message."""
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
    """Which session registers, by which client."""

    session_id: str
    instance_id: str
    client_name: str
    client_version: str
    config: RunConfig
    labels: Mapping[str, str] = field(default_factory=dict)
    started_ms: int = 0
    """When the session was constructed, in ms since 1970 by its machine's clock; 0: not reported."""
    is_left_over: bool = False
    """Whether its process is gone, and what it left in its spool is delivered by another."""
    run_id: str = ""
    """What the sessions of processes that train together have in common; "": not reported."""
    rank: int | None = None
    """Which of these processes it is; None: it is alone, or it is not known."""
    world_size: int = 0
    """How many they are; 0: not reported."""
    config_json: str = ""
    """What the run was configured with: a JSON object of plain values; "": not reported."""
    resume_from: ResumePoint | None = None
    """Where the run goes on, if it does not begin anew."""

    def to_json(self) -> str:
        """Return the text that `from_json` reads; it holds no secrets."""
        fields = asdict(self)
        del fields["is_left_over"]
        for name, unreported in LATER.items():
            if fields[name] == unreported:
                del fields[name]
        fields["plan"] = fields.pop("config")  # its name in the files of all versions
        return json.dumps({**fields, "checksum": _checksum(fields)}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Identity":
        """Return the identity from its JSON; raises ValueError where that is damaged."""
        try:
            fields: dict[str, Any] = json.loads(text)
            checksum = fields.pop("checksum", None)  # the first versions wrote none
            is_intact = checksum in (None, _checksum(fields))
            config = fields.pop("plan")
            config["class_names"] = tuple(config["class_names"])
            place = fields.pop("resume_from", None)
            resume_from = None if place is None else ResumePoint(*place)
            identity = cls(**fields, config=RunConfig(**config), resume_from=resume_from)
            identity.config.to_wire()
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(DAMAGED) from error
        texts = (identity.session_id, identity.instance_id, *identity.labels.values())
        if not is_intact or not all(isinstance(text, str) and text for text in texts):
            raise ValueError(DAMAGED)
        return identity


LATER: dict[str, object] = {
    "run_id": "",
    "rank": None,
    "world_size": 0,
    "config_json": "",
    "resume_from": None,
}
"""What was added since the first version, and its value where it is not reported: earlier versions can read the rest."""

DAMAGED = "session.json is damaged: it does not say whose messages these are"


def _checksum(fields: Mapping[str, Any]) -> int:
    """Return a checksum of all fields: with one wrong letter, the name would be another session's."""
    return crc32(json.dumps(fields, sort_keys=True).encode())
