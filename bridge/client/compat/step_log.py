"""Turns numbers and pictures that belong to a step into the calls of a session."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.client.compat.late_session import LateSession
from bridge.client.compat.pictures import own_copy
from bridge.client.compat.tags import Tag, read_tag

log = logging.getLogger("trainbridge")

AUTO = "auto"
"""The first tag that looks like the loss of a training step is the loss."""

HELD_IMAGES = 16
"""Pictures of one step that wait for its loss; a bridge takes no more of a batch."""


class StepLog:
    """The steps of one run: which tag is the loss, and which pictures wait for it."""

    def __init__(self, late: LateSession, loss_tag: str | None = AUTO) -> None:
        """Report to this session; `loss_tag` is the tag as the script writes it, "auto", or None: there is none."""
        self._late = late
        self._loss_tag = loss_tag
        self._loss: tuple[str, str] | None = None
        """The tag that was found to be the loss, as it is written, and its split."""
        self._is_auto = loss_tag == AUTO
        self._has_scalars = self._has_batches = False
        self._loss_step: Any = None
        """Of the last loss: pictures of that step come too late for it."""
        self._held: list[Any] = []
        self._held_step: Any = None
        late.before_end(self.end)

    def numbers(
        self, values: Mapping[str, Any], step: Any, *, split: str = "", prefix: str = ""
    ) -> None:
        """Report numbers by tag; the loss makes a batch of the step, the others are scalars."""
        if self._held and self._held_step not in (None, step):
            self.flush()
        by_split: dict[str, dict[str, Any]] = {}
        loss: list[Any] = []
        for key, value in values.items():
            written = f"{prefix}/{key}" if prefix else str(key)
            tag = read_tag(written, split)
            if not loss and self._is_loss(written, tag):
                loss.append(value)
            else:
                by_split.setdefault(tag.split, {})[tag.name] = value
        if loss:
            self._batch(loss[0], step)
        for part, named in by_split.items():
            self._has_scalars = True
            self._late.session.log_scalars(named, step=step, split=part)

    def pictures(self, images: Iterable[Any], step: Any) -> None:
        """Report pictures with the batch of their step: with its loss where that is still to come."""
        images = list(images)
        if step is not None and step == self._loss_step:
            self._has_batches = True
            self._late.session.log_batch(None, step=step, images=images, sample_count=len(images))
            return
        if self._held and step != self._held_step:
            self.flush()
        self._held_step = step
        room = HELD_IMAGES - len(self._held)
        self._held += [own_copy(image) for image in images[:room]]
        if len(images) > room:
            self._late.leave_out(
                "pictures",
                f"a bridge takes {HELD_IMAGES} of a step; give the ones that are to be seen first",
            )

    def flush(self) -> None:
        """Report the pictures that wait for a loss as a batch without one."""
        if self._held:
            images, self._held = self._held, []
            self._has_batches = True
            self._late.session.log_batch(
                None, step=self._held_step, images=images, sample_count=len(images)
            )

    def end(self) -> None:
        """Report what waits; say once what to do about a run without any loss."""
        self.flush()
        if self._has_scalars and not self._has_batches and self._is_auto and self._loss is None:
            log.warning(
                "no tag of this run looked like the loss of a training step, so it has curves, and neither"
                " batches nor progress; say which one it is: loss_tag='TAG', or loss_tag=None for none"
            )

    def _is_loss(self, written: str, tag: Tag) -> bool:
        if not self._is_auto:
            return written == self._loss_tag
        if self._loss is None and tag.is_loss:
            self._loss = (written, tag.split)
        return (written, tag.split) == self._loss

    def _batch(self, loss: Any, step: Any) -> None:
        images, self._held = self._held, []
        self._has_batches = True
        self._loss_step = step
        if images:
            self._late.session.log_batch(loss, step=step, images=images)
        else:
            self._late.session.log_batch(loss, step=step)
