"""One run as a script of wandb sees it."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from bridge.client.compat.histograms import Histograms
from bridge.client.compat.late_session import LateSession, guarded
from bridge.client.compat.step_log import StepLog
from bridge.client.compat.wandb.configuration import Values
from bridge.client.compat.wandb.description import Description
from bridge.client.compat.wandb.environment import RunIdentity
from bridge.client.compat.wandb.logged import Logged, logged
from bridge.client.compat.wandb.media import Artifact
from bridge.protocol import Status

LEVELS = {"INFO": "info", "WARN": "warning", "WARNING": "warning", "ERROR": "error"}


class Error(Exception):
    """What a script has done in the wrong place, as the original says it."""


class Run(Description):
    """A run, which reports until `finish`."""

    def __init__(
        self,
        identity: RunIdentity,
        late: LateSession,
        *,
        loss_tag: str | None,
        histograms: int,
        step_metric: str | None,
    ) -> None:
        """Begin; the session is made with the first thing that is reported."""
        super().__init__(identity, late)
        self._steps = StepLog(late, loss_tag)
        self._histograms = Histograms(late, histograms)
        self._step_metrics = [step_metric] if step_metric else []
        self._step = identity.step or 0
        self.config = Values(self._configure)
        self._said: dict[str, Any] = {}
        """What the script itself puts into the summary."""
        self.summary = Values(self._said.update)
        late.before_end(self._report_summary)

    @property
    def step(self) -> int:
        """The step of the next log."""
        return self._step

    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: bool | None = None,
    ) -> None:
        """Report what belongs to a step: numbers, pictures, distributions."""
        if not isinstance(data, Mapping):
            raise TypeError(f"wandb.log takes a dictionary, not a {type(data).__name__}")
        if self._late.is_closed:
            self._late.leave_out("logs", "the run has finished; log before finish()")
            return
        guarded(self._late, "logs", lambda: self._log(data, step, commit))

    def alert(
        self, title: str, text: str = "", level: Any = None, wait_duration: Any = None
    ) -> None:
        """Report something that somebody should look at."""
        name = str(getattr(level, "value", level) or "INFO").upper()
        guarded(
            self._late,
            "alerts",
            lambda: self.session.alert(title, text, LEVELS.get(name, "info")),
        )

    def define_metric(
        self, name: str, step_metric: Any = None, *_arguments: Any, **_options: Any
    ) -> None:
        """Count steps by `step_metric`, once it is logged."""
        metric = getattr(step_metric, "name", step_metric)
        if metric and metric not in self._step_metrics:
            self._step_metrics.append(str(metric))

    def watch(self, *_arguments: Any, **_options: Any) -> None:
        """Leave out gradients and parameters."""
        self._late.leave_out(
            "watch", "gradients and parameters: log wandb.Histogram of those that matter"
        )

    def unwatch(self, *_arguments: Any, **_options: Any) -> None:
        """Do nothing."""

    def save(self, *_arguments: Any, **_options: Any) -> None:
        """Leave out files."""
        self._late.leave_out("files", Artifact.why)

    def log_artifact(self, artifact: Any = None, *_arguments: Any, **_options: Any) -> Any:
        """Leave out files with a version; return what stands for them."""
        self._late.leave_out("artifacts", Artifact.why)
        return artifact if isinstance(artifact, Artifact) else Artifact()

    log_model = link_artifact = link_model = upsert_artifact = finish_artifact = log_artifact

    def use_artifact(self, *_arguments: Any, **_options: Any) -> Any:
        """Raise Error: the script needs the files."""
        raise Error(f"{Artifact.why}; load these files from where they are")

    use_model = restore = use_artifact

    def log_code(self, *_arguments: Any, **_options: Any) -> None:
        """Leave out the source of the script."""
        self._late.leave_out(
            "code", "the source: keep it in version control, and its commit in config"
        )

    def display(self, *_arguments: Any, **_options: Any) -> bool:
        """Return that nothing is shown here."""
        return False

    def to_html(self, *_arguments: Any, **_options: Any) -> str:
        """Return a link to the page, if it is known."""
        return f'<a href="{self.url}">{self.id}</a>' if self.url else self.id

    def __getattr__(self, name: str) -> Any:
        """Say what to do about what the original has beyond that."""
        raise AttributeError(
            f"the drop-in's run has no {name!r}; docs/migration/wandb.md lists what it has, and for the rest"
            " keep wandb itself"
        )

    def mark_preempting(self) -> None:
        """Do nothing: a run that comes back under its id is another attempt of the same session."""

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run: completed, or failed with an exit code."""
        self._finish(exit_code, None)

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the run, as failed where an exception says so."""
        self._finish(None, error)

    @property
    def is_finished(self) -> bool:
        """Whether it has ended."""
        return self._late.is_closed

    def _finish(self, exit_code: int | None, error: BaseException | None) -> None:
        if self._late.is_closed:
            return

        def end() -> None:
            self._late.end()
            if exit_code and error is None:
                self.session.log_status(Status.FAILED, f"exit code {exit_code}")
            self._late.close(error)

        guarded(self._late, "ends", end)

    def _report_summary(self) -> None:
        if self._said:
            self._late.report("summary", self._said)

    def _configure(self, values: dict[str, Any]) -> None:
        guarded(self._late, "config", lambda: self._late.configure(values))

    def _log(self, data: Mapping[str, Any], step: Any, commit: bool | None) -> None:
        if step is not None:
            if int(step) < self._step:
                self._late.leave_out(
                    "logs",
                    f"step {int(step)} comes after step {self._step}: log steps as they come, in every call"
                    " or in none",
                )
                return
            self._step = int(step)
        found = logged(data)
        self._leave_out(found)
        at = self._counted(found)
        if found.pictures:
            self._steps.pictures(found.pictures, at)
        if found.numbers:
            self._steps.numbers(found.numbers, at)
        for tag, quantiles in found.distributions.items():
            self._histograms.report(tag, lambda quantiles=quantiles: quantiles, at, "")  # type: ignore[misc]
        self.summary.remember(found.numbers)
        if commit or (commit is None and step is None):
            self._step += 1
            self._steps.flush()

    def _counted(self, found: Logged) -> int:
        """Return the step of what is logged: of the metric that the script counts by, or of its calls."""
        for name in self._step_metrics:
            value = found.numbers.pop(name, None)
            if value is not None:
                return int(value)
        return self._step

    def _leave_out(self, found: Logged) -> None:
        for what, why in found.left_out:
            self._late.leave_out(what, why)
        for what, error in found.faults:
            self._late.record_fault(what, error)
