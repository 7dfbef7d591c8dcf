"""The statements that ask the image index."""

from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Select, bindparam, cast, func, select, tuple_

from bridge.storage.schema import BATCHES, IMAGES, SHARDS, WHOLE
from bridge.storage.statements import Statement

BATCH = BATCHES.c
IMAGE = IMAGES.c

OF_SESSION = BATCH.session_id == bindparam("session_id")
AT_PLACE = (BATCH.epoch == bindparam("epoch"), BATCH.batch == bindparam("batch"))
PLACE = tuple_(bindparam("epoch", type_=WHOLE), bindparam("batch", type_=WHOLE))
LIMIT = bindparam("limit", type_=WHOLE)

IN_EPOCH = BATCH.epoch == func.coalesce(bindparam("epoch", type_=WHOLE), BATCH.epoch)
"""Of one epoch, or of any; a form that keeps the index by time: an epoch may have most of a session's batches."""

BY_LOSS = (BATCH.loss.is_(None).desc(), BATCH.loss.desc())
BY_FINITE_LOSS = (BATCH.loss.desc().nulls_last(),)
"""NULL, which a loss that is not finite is, comes last."""
BY_TIME = (BATCH.received_ms.desc(),)


@dataclass(frozen=True, slots=True)
class ByAttempt:
    """A query in two forms; for each of them a database finds the right index."""

    of_all: Statement
    of_one: Statement
    """Takes the parameter `attempt`."""

    def of(self, attempt: int | None) -> Statement:
        """Return the form for one attempt, or that for all."""
        return self.of_all if attempt is None else self.of_one


def by_attempt(query: Select[tuple[object, ...]], column: Column[int] = BATCH.attempt) -> ByAttempt:
    """Return both forms of a query."""
    return ByAttempt(Statement(query), Statement(query.where(column == bindparam("attempt"))))


def _batches(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    columns = (
        *(BATCH.session_id, BATCH.epoch, BATCH.batch, BATCH.received_ms),
        *(BATCH.loss, BATCH.images, BATCH.attempt),
    )
    return select(*columns).where(OF_SESSION, *conditions)


NEWEST_ATTEMPT = BATCH.attempt.desc()

FIND_BATCH = by_attempt(_batches(*AT_PLACE).order_by(NEWEST_ATTEMPT).limit(1))

NEWEST = by_attempt(
    _batches(BATCH.received_ms.between(bindparam("from_ms"), bindparam("to_ms")))
    .order_by(BATCH.received_ms.desc(), NEWEST_ATTEMPT, BATCH.epoch.desc(), BATCH.batch.desc())
    .limit(LIMIT)
)

WORST = by_attempt(_batches().order_by(*BY_LOSS).limit(LIMIT))

BEFORE = by_attempt(
    _batches(tuple_(BATCH.epoch, BATCH.batch) < PLACE)
    .order_by(BATCH.epoch.desc(), BATCH.batch.desc(), NEWEST_ATTEMPT)
    .limit(1)
)
AFTER = by_attempt(
    _batches(tuple_(BATCH.epoch, BATCH.batch) > PLACE)
    .order_by(BATCH.epoch, BATCH.batch, NEWEST_ATTEMPT)
    .limit(1)
)

_OLDER = _batches(IN_EPOCH, BATCH.received_ms <= bindparam("at_ms"))
_IN_WINDOW = _OLDER.where(BATCH.received_ms > bindparam("from_ms"))

IN_WINDOW_BY_LOSS = by_attempt(_IN_WINDOW.order_by(*BY_LOSS).limit(1))
IN_WINDOW_BY_FINITE_LOSS = by_attempt(_IN_WINDOW.order_by(*BY_FINITE_LOSS).limit(1))
IN_WINDOW_BY_TIME = by_attempt(_IN_WINDOW.order_by(*BY_TIME).limit(1))
LAST_UNTIL = by_attempt(_OLDER.order_by(*BY_TIME).limit(1))
FIRST_AFTER = by_attempt(
    _batches(IN_EPOCH, BATCH.received_ms > bindparam("at_ms")).order_by(BATCH.received_ms).limit(1)
)

_newer = BATCHES.alias("newer")
_PAGE = (
    _batches(tuple_(BATCH.epoch, BATCH.batch) > PLACE)
    .order_by(BATCH.epoch, BATCH.batch)
    .limit(LIMIT)
)
PAGE = ByAttempt(
    of_all=Statement(
        _PAGE.where(
            ~select(_newer.c.attempt)
            .where(
                _newer.c.session_id == BATCH.session_id,
                _newer.c.epoch == BATCH.epoch,
                _newer.c.batch == BATCH.batch,
                _newer.c.attempt > BATCH.attempt,
            )
            .exists()
        )
    ),
    of_one=by_attempt(_PAGE).of_one,
)
"""Of a batch that several attempts have, that of the newest."""

OF_CELL = by_attempt(
    select(IMAGE.epoch, IMAGE.batch, IMAGE.attempt)
    .where(
        IMAGE.session_id == bindparam("session_id"),
        IMAGE.true_class == bindparam("actual"),
        IMAGE.predicted_class == bindparam("predicted"),
        IMAGE.received_ms.between(bindparam("from_ms"), bindparam("to_ms")),
    )
    .order_by(IMAGE.received_ms.desc())
    .limit(1),
    IMAGE.attempt,
)

_images_of_batch = (
    select(
        *(IMAGE.position, IMAGE.predicted_class, IMAGE.confidence, IMAGE.true_class),
        *(SHARDS.c.key, SHARDS.c.stored, IMAGE.offset, IMAGE.length, SHARDS.c.bridge_id),
    )
    .join_from(IMAGES, SHARDS, IMAGE.shard_id == SHARDS.c.shard_id)
    .where(
        IMAGE.session_id == bindparam("session_id"),
        IMAGE.epoch == bindparam("epoch"),
        IMAGE.batch == bindparam("batch"),
    )
    .order_by(IMAGE.position)
)
IMAGES_OF_BATCH = ByAttempt(
    of_all=Statement(
        _images_of_batch.where(
            IMAGE.attempt
            == select(func.max(BATCH.attempt)).where(OF_SESSION, *AT_PLACE).scalar_subquery()
        )
    ),
    of_one=by_attempt(_images_of_batch, IMAGE.attempt).of_one,
)

EPOCHS = by_attempt(
    select(BATCH.epoch, func.count(), cast(func.sum(BATCH.images), WHOLE))
    .where(OF_SESSION)
    .group_by(BATCH.epoch)
    .order_by(BATCH.epoch.desc())
    .limit(LIMIT)
)

ATTEMPTS_OF_BATCH = Statement(select(BATCH.attempt).where(OF_SESSION, *AT_PLACE))

ATTEMPTS = Statement(select(BATCH.attempt).distinct().where(OF_SESSION).order_by(BATCH.attempt))
