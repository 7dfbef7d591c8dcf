"""What the HTTP open_client is built from in tests: real sessions, commands and index, and small fakes beside them."""

from dataclasses import dataclass, field

from support.jpegs import jpeg

from bridge.commands import Commands
from bridge.errors import NotFoundError
from bridge.lifecycle import Connected
from bridge.model import Batch, Client, Config
from bridge.sessions import Sessions
from bridge.storage.index import ImageIndex
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry
from bridge.web import AppDependencies

NOON = 1_700_000_000.0
NOON_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Page:
    """A rendered /metrics page."""

    body: bytes
    content_type: str


@dataclass
class FakeMetrics:
    """Returns a fixed page, and whatever confusion a test puts into it."""

    body: bytes = b"# fake\nup 1\n"
    accepted: list[str] = field(default_factory=list)
    confusions: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)

    async def render(self, accept, sessions):
        self.accepted.append(accept)
        return Page(self.body, "text/plain; version=0.0.4; charset=utf-8")

    def confusion(self, session_id):
        return self.confusions.get(session_id, {})


@dataclass(frozen=True)
class FakeEntry:
    """Changes with the session that it stands for."""

    session_id: str
    attempt: int
    registered_ms: int
    identity: int
    updated_at: float

    @property
    def version(self):
        """Another one for other content."""
        return self

    @property
    def updated_ms(self):
        """As the session says."""
        return round(self.updated_at * 1000)


@dataclass
class FakeArchive:
    """Holds the sessions that are no longer in memory."""

    kept: dict = field(default_factory=dict)
    former: list = field(default_factory=list)
    """Earlier attempts of sessions here or in memory, oldest first."""

    def find(self, session_id, attempt=None):
        newest = self.kept.get(session_id)
        if attempt is None:
            return newest
        return next((one for one in self._all(session_id) if one.attempt == attempt), None)

    def summaries(self, session_ids):
        return {}

    def last_written(self, session_id):
        return self.kept.get(session_id)

    def attempts(self, session_id):
        return [_entry(one) for one in self._all(session_id)]

    def _all(self, session_id):
        newest = self.kept.get(session_id)
        former = [one for one in self.former if one.id == session_id]
        return [*former, *([newest] if newest is not None else [])]

    def entries(self, limit):
        newest = sorted(self.kept.values(), key=lambda one: one.registered_at, reverse=True)
        return [_entry(one) for one in newest[:limit]]


def _entry(session):
    registered_ms = round(session.registered_at * 1000)
    return FakeEntry(session.id, session.attempt, registered_ms, id(session), session.updated_at)


@dataclass
class FakeDeleter:
    """Remembers which sessions are to be deleted, or refuses."""

    asked: list = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, session_id, *, attempt, images, force, by):
        if self.error is not None:
            raise self.error
        whom = session_id if attempt is None else (session_id, attempt)
        self.asked.append((whom, images, force, by))


class StoredImages:
    """Images in memory, with their rows in a real index."""

    def __init__(self, folder):
        """Open the database in the folder given."""
        self.database = SqliteDatabase(folder / "pages.db", durable=False)
        self.index = ImageIndex(self.database)
        self._bytes = {}
        self._shards = 0

    def add(self, session_id, epoch, batch, images, *, loss=0.5, received_ms=NOON_MS, attempt=1):
        """Keep a batch; each image is (jpeg, predicted class, confidence, true class)."""
        self._shards += 1
        number, offset, rows = self._shards, 0, []
        for position, (content, *judged) in enumerate(images):
            self._bytes[(f"{number}.tar", offset)] = content
            rows.append(
                (
                    session_id,
                    attempt,
                    epoch,
                    batch,
                    position,
                    number,
                    offset,
                    len(content),
                    *judged,
                    received_ms,
                )
            )
            offset += len(content)
        with self.database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO shards (shard_id, session_id, key, attempt) VALUES (?, ?, ?, ?)",
                (number, session_id, f"{number}.tar", attempt),
            )
            transaction.execute(
                "INSERT INTO batches (session_id, attempt, epoch, batch, received_ms, loss, images)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (session_id, attempt, epoch, batch, received_ms, loss, len(rows)),
            )
            transaction.executemany(
                "INSERT INTO images (session_id, attempt, epoch, batch, position, shard_id, offset,"
                " length, predicted_class, confidence, true_class, received_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def read(self, place):
        """Return the bytes of an image."""
        try:
            return self._bytes[(place.key, place.offset)][: place.length]
        except KeyError:
            raise NotFoundError("the shard is gone") from None


def deps_in(folder, **changes):
    """Return everything the HTTP open_client needs, empty, with the changes given."""
    stored = changes.pop("stored", None) or StoredImages(folder)
    commands, sessions = Commands(), Sessions(new_per_minute=100_000)
    given = {
        "sessions": sessions,
        "commands": commands,
        "submit_command": commands.submit,
        "note_alert": lambda name, alert: sessions.get(name).apply(alert, NOON),
        "delete_session": FakeDeleter(),
        "index": stored.index,
        "read_image": stored.read,
        "metrics": FakeMetrics(),
        "archive": FakeArchive(),
        "telemetry": Telemetry(),
        **changes,
    }
    return AppDependencies(**given), stored


def running(deps, session_id="run-1", *, batches=3, epoch=1, **config):
    """Return a registered, connected session that has sent a few batches."""
    config = {"total_epochs": 4, "batches_per_epoch": 10, "class_names": ("cat", "dog"), **config}
    session = deps.sessions.register(session_id, Client("tests", "1"), Config(**config)).session
    now = session.registered_at
    session.apply(Connected(), now)
    for index in range(batches):
        session.apply(Batch(epoch, index, 0.5), now)
    return session


def pictures(count=2):
    """Return images, the even ones predicted right and the odd ones wrong."""
    return [(jpeg(16, 16, 40 + i), 1, 0.75, 1 - i % 2) for i in range(count)]


def coordinates(points):
    """Return all numbers of an SVG `points` attribute."""
    return [float(number) for point in points.split() for number in point.split(",")]
