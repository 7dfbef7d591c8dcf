"""The little of a session that lists say, so that they need not read all of it."""

from typing import Any

from bridge.model import Client, Config, Stage, Status
from bridge.session import Session

PLAIN = ("attempt", "connected", "updated_at", "ended_at", "loss")
"""What a summary takes of a snapshot as it is."""

LATER = ("is_absent", "is_sent_elsewhere")
"""What a snapshot has only where it is true."""

CLIENT = ("name", "labels", "run_id", "rank", "world_size")

CONFIG = ("model_name", "dataset_name")


def summary_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return what lists say of a session, from its snapshot: plain values, a few hundred bytes."""
    client, config = state["client"], state["config"]
    has_begun = state["batches"] or state["epochs"] or state["scalars"]
    return {
        "id": state["id"],
        "registered_at": state["registered_at"],
        "stage": str(state["stage"]),
        "status": str(state["status"]),
        "has_begun": bool(has_begun),
        "client": {name: client[name] for name in CLIENT},
        "config": {name: config[name] for name in CONFIG},
        **{name: state[name] for name in PLAIN},
        **{name: True for name in LATER if state.get(name)},
    }


def session_from_summary(summary: dict[str, Any]) -> Session:
    """Return a session of which nothing but what lists say is as it was."""
    session = Session(
        summary["id"],
        Client(**summary["client"]),
        Config(**summary["config"]),
        now=summary["registered_at"],
    )
    for name in (*PLAIN, *LATER):
        setattr(session, name, summary.get(name, False))
    session.stage, session.status = Stage(summary["stage"]), Status(summary["status"])
    session.batches = int(summary["has_begun"])
    return session
