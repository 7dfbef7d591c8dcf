"""A SummaryWriter that reports to a bridge: for `from torch.utils.tensorboard import SummaryWriter`."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bridge.client.capture.quantiles import quantiles_of, quantiles_of_bins
from bridge.client.compat import pictures
from bridge.client.compat.histograms import TAGS
from bridge.client.compat.late_session import LateSession, guarded
from bridge.client.compat.not_taken import NotTaken
from bridge.client.compat.open_runs import OpenRun, place_of, run_of
from bridge.client.compat.step_log import AUTO
from bridge.client.compat.tags import read_tag

__all__ = ["SummaryWriter"]


class SummaryWriter(NotTaken):
    """Takes the calls of the writers of PyTorch and tensorboardX; docs/migration/tensorboard.md says what becomes of each.

    Nothing is written to `log_dir`: it names the run. Writers of one folder, and of the folders train, val
    and test in it, are one run with splits, which ends when the last of them is closed.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        write_to_disk: bool = True,
        *,
        logdir: str | os.PathLike[str] | None = None,
        comet_config: Mapping[str, Any] | None = None,
        session: Any = None,
        loss_tag: str | None = AUTO,
        histograms: int = TAGS,
        **options: Any,
    ) -> None:
        """Begin to write; what is said here of files and queues has no meaning.

        Args:
            log_dir: Names the run where no `model` is given; its last part may be a split.
            comment: Names the run where there is no log_dir.
            purge_step: Where a run that was interrupted goes on.
            max_queue: Not used.
            flush_secs: Not used.
            filename_suffix: Not used.
            write_to_disk: False: nothing is reported.
            logdir: As log_dir.
            comet_config: Not used.
            session: A session to report to, which somebody else closes.
            loss_tag: The tag that is the loss of a step; "auto": the first that is called so. None: none is.
            histograms: Of how many tags of add_histogram the quantiles are reported.
            options: Arguments of TrainingSession.
        """
        given = log_dir if log_dir is not None else logdir
        self._log_dir = os.fspath(given) if given else _default_folder(comment)
        folder, self._split = place_of(self._log_dir)
        if session is None:
            name = Path(folder).name if given else comment.strip("_- ") or _script_name()
            options = {"model": name, "resume_step": purge_step} | options

        def make() -> OpenRun:
            late = LateSession(options, session=session, is_silent=not write_to_disk)
            return OpenRun(late, loss_tag, histograms)

        if session is not None:
            folder = f"session://{id(session)}"
        self._run = run_of(folder, make)
        self._late = self._run.late
        self._has_left = False
        self._default_step: Any = None

    @property
    def session(self) -> Any:
        """The session that is reported to: `writer.session.should_stop`, `writer.session.log_batch(...)`."""
        return self._late.session

    @property
    def log_dir(self) -> str:
        """The folder, which is made for what the script itself puts there."""
        if "://" not in self._log_dir:
            Path(self._log_dir).mkdir(parents=True, exist_ok=True)
        return self._log_dir

    logdir = log_dir

    def get_logdir(self) -> str:
        """Return the folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
        display_name: str = "",
        summary_description: str = "",
    ) -> None:
        """Report a number; the loss of a step makes its batch."""
        self._numbers({tag: scalar_value}, global_step)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Report numbers of one diagram: main_tag/KEY, or main_tag with a split where the key is one."""
        self._numbers(tag_scalar_dict, global_step, prefix=main_tag)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Report a distribution as its quantiles."""
        self._distribution(tag, lambda: quantiles_of(values), global_step)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: int,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Report a distribution that was counted in buckets as its quantiles."""

        def quantiles() -> Mapping[str, float]:
            ends = [float(limit) for limit in bucket_limits]
            return quantiles_of_bins(
                bucket_counts, [min, *(_within(end, min, max) for end in ends)]
            )

        self._distribution(tag, quantiles, global_step)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Report a picture with the batch of its step."""
        self._pictures(lambda: pictures.arranged(img_tensor, dataformats), global_step)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Report pictures with the batch of their step, the first 16 of them."""
        if isinstance(img_tensor, list | tuple):
            one = dataformats.replace("N", "")
            self._pictures(
                lambda: [part for img in img_tensor for part in pictures.arranged(img, one)],
                global_step,
            )
            return
        self._pictures(lambda: pictures.arranged(img_tensor, dataformats), global_step)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
        **_options: Any,
    ) -> None:
        """Report a picture without its boxes."""
        self._leave_out("boxes", "pictures are shown as they are; draw the boxes into them")
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Report figures of Matplotlib as pictures."""
        figures = figure if isinstance(figure, list | tuple) else [figure]

        def drawn() -> list[Any]:
            files = [pictures.figure_file(each) for each in figures]
            if close:
                for each in figures:
                    pictures.close_figure(each)
            return files

        self._pictures(drawn, global_step)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Report a text as an event."""
        guarded(self._late, "texts", lambda: self.session.event(tag, text_string))

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: Any = None,
        name: str | None = None,
    ) -> None:
        """Report hyperparameters as the configuration, and metrics as scalars."""
        if (
            isinstance(run_name, int) and global_step is None
        ):  # by place, tensorboardX has the step there
            global_step = run_name

        def report() -> None:
            self._late.configure(hparam_dict)
            by_split: dict[str, dict[str, Any]] = {}
            for tag, value in metric_dict.items():
                metric, split = read_tag(tag, self._split)
                by_split.setdefault(split, {})[metric] = value
            for split, values in by_split.items():
                self.session.log_scalars(values, step=self._step(global_step), split=split)

        guarded(self._late, "hparams", report)

    @contextmanager
    def use_metadata(
        self, *, global_step: Any = None, walltime: float | None = None
    ) -> Iterator[Self]:
        """Count what the block reports without a step as of this one."""
        before, self._default_step = self._default_step, global_step
        try:
            yield self
        finally:
            self._default_step = before

    def flush(self) -> None:
        """Report the pictures that wait for the loss of their step; all else is on its way already."""
        guarded(self._late, "images", self._run.steps.flush)

    def close(self) -> None:
        """End the run, unless another writer has it as well."""
        self._leave(None)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the run, as failed where an exception says so."""
        self._leave(error)

    def _step(self, global_step: Any) -> int | None:
        step = self._default_step if global_step is None else global_step
        return None if step is None else int(step)

    def _leave(self, error: BaseException | None) -> None:
        if not self._has_left:
            self._has_left = True
            guarded(self._late, "ends", lambda: self._run.leave(error))

    def _numbers(self, values: Mapping[str, Any], global_step: Any, prefix: str = "") -> None:
        def report() -> None:
            step = self._step(global_step)
            self._run.steps.numbers(values, step, split=self._split, prefix=prefix)

        guarded(self._late, "scalars", report)

    def _pictures(self, images: Callable[[], list[Any]], global_step: Any) -> None:
        guarded(
            self._late,
            "images",
            lambda: self._run.steps.pictures(images(), self._step(global_step)),
        )

    def _distribution(
        self, tag: str, quantiles: Callable[[], Mapping[str, float]], global_step: Any
    ) -> None:
        def report() -> None:
            self._run.histograms.report(tag, quantiles, self._step(global_step), self._split)

        guarded(self._late, "histograms", report)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _default_folder(comment: str) -> str:
    return str(
        Path("runs") / f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}"  # noqa: DTZ005
    )


def _script_name() -> str:
    return Path(sys.argv[0] if sys.argv else "").stem or "run"
