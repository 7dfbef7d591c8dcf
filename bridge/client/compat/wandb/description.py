"""What a run is called, and what else scripts read of it."""

import time
from typing import Any

from bridge.client.compat.late_session import LateSession
from bridge.client.compat.wandb.environment import LABEL_CHARACTERS, RunIdentity


class Description:
    """The names of a run: a script may change them until the run has begun to report."""

    sweep_id: str | None = None
    sweep_url: str | None = None
    project_url: str | None = None

    def __init__(self, identity: RunIdentity, late: LateSession) -> None:
        """Describe a run by what init was given."""
        self._identity = identity
        self._late = late
        self._names: dict[str, Any] = {
            "name": identity.name,
            "tags": identity.tags,
            "notes": identity.notes,
        }
        self.project, self.group, self.job_type = (
            identity.project,
            identity.group,
            identity.job_type,
        )
        self.entity = ""
        self.start_time = time.time()
        self.starting_step = identity.step or 0
        self.resumed = identity.step is not None
        self.offline = identity.mode == "offline"
        self.disabled = identity.mode == "disabled"

    @property
    def session(self) -> Any:
        """The session that is reported to: `run.session.should_stop`."""
        return self._late.session

    @property
    def id(self) -> str:
        """The name of the session at the bridge."""
        return str(self._identity.id or self.session.session_id)

    @property
    def path(self) -> str:
        """The project and the id."""
        return f"{self.project}/{self.id}"

    @property
    def url(self) -> str | None:
        """The page of the run, once the bridge has said where its pages are."""
        return self.session.url or None

    def get_url(self) -> str | None:
        """Return the page of the run."""
        return self.url

    def project_name(self) -> str:
        """Return the project."""
        return self.project

    @property
    def dir(self) -> str:
        """A folder for files of the script itself; nothing in it is sent."""
        self._identity.folder.mkdir(parents=True, exist_ok=True)
        return str(self._identity.folder)

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self._names["name"])

    @name.setter
    def name(self, name: str) -> None:
        self._rename("name", "run", str(name))
        if not self._late.is_made:
            self._late.about["model"] = str(name)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the run."""
        return tuple(self._names["tags"])

    @tags.setter
    def tags(self, tags: Any) -> None:
        self._rename("tags", "tags", tuple(map(str, tags)))

    @property
    def notes(self) -> str:
        """The notes of the run."""
        return str(self._names["notes"])

    @notes.setter
    def notes(self, notes: str) -> None:
        self._rename("notes", "notes", str(notes))

    def _rename(self, what: str, label: str, value: Any) -> None:
        self._names[what] = value
        text = value if isinstance(value, str) else ",".join(value)
        if self._late.is_made:
            self._late.report("config", {what: text})
        else:
            labels = dict(self._late.about.get("labels") or {})
            self._late.about["labels"] = labels | {label: text[:LABEL_CHARACTERS]}
