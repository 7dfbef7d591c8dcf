"""Read what a bridge knows, and submit commands, over its HTTP API; needs nothing but the standard library."""

import json
import os
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from bridge.client.address import PORTS
from bridge.client.query_errors import NoBridgeError, ProblemError, QueryError
from bridge.client.query_http import BridgeServer
from bridge.client.query_logged import Annotation, Comparison, Curve, LoggedEvent
from bridge.client.query_reading import Moment, chosen_curves, seconds_of
from bridge.client.query_tls import tls_source
from bridge.client.query_types import (
    ListedBatch,
    SessionDetails,
    SessionSummary,
    SubmittedCommand,
    from_json,
)
from bridge.client.query_watching import answered, changes
from bridge.client.token_source import token_source
from bridge.protocol import CommandType

__all__ = ["BridgeClient", "NoBridgeError", "ProblemError", "QueryError"]

Record = TypeVar("Record")

TIMEOUT_SECONDS = 10.0
WATCH_SECONDS = 2.0
SESSIONS_PER_PAGE = 100
BATCHES_PER_PAGE = 200
ANNOTATIONS_PER_PAGE = 500


class BridgeClient:
    """Queries one bridge; threads may share it.

    Every method raises NoBridgeError or ProblemError; a session, batch or image that does not exist is a
    ProblemError whose `status` is 404. Lists are fetched page by page while they are iterated over.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        token_file: str | os.PathLike[str] = "",
        ca_file: str | os.PathLike[str] = "",
        cert_file: str | os.PathLike[str] = "",
        key_file: str | os.PathLike[str] = "",
        ssl_context: ssl.SSLContext | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Query the bridge at this URL, such as http://127.0.0.1:8080; a proxy may serve it under a path.

        The token is that of `token`, else of the file, which is read again when the bridge does not let it in, else
        of TRAINBRIDGE_TOKEN or TRAINBRIDGE_TOKEN_FILE; it is sent to this scheme, host and port alone.
        https:// trusts the authorities in `ca_file` alone, else those of the system and of TRAINBRIDGE_CA_FILE, and
        shows the certificate in `cert_file`, with its key in `key_file`, else that of TRAINBRIDGE_CERT_FILE and
        TRAINBRIDGE_KEY_FILE; or it is spoken with an `ssl_context`.
        `timeout_seconds` bounds connecting and each wait for data. Bridges on other machines are reached
        through the proxy of http_proxy or https_proxy, except those that no_proxy names. Raises ValueError
        for what is not an http(s) URL or a token, and for files that are not what TLS needs, OSError for a file that cannot be read.
        """
        self._server = BridgeServer(
            url,
            token_source(token, token_file),
            tls_source(str(url), ca_file, cert_file, key_file, ssl_context),
            timeout_seconds=timeout_seconds,
        )
        self.url = self._server.url

    def sessions(
        self,
        *,
        query: str = "",
        status: str = "",
        model: str = "",
        sort: str = "",
        page_size: int = SESSIONS_PER_PAGE,
    ) -> Iterator[SessionSummary]:
        """Yield the sessions that match; without a search all, those that may still send first, then the newest.

        `query` holds words that must all occur in the name, model, dataset, client or labels; `status` is one
        as in `SessionSummary.state`, or "live" or "ended", or several with commas; `model` is a model's whole
        name; `sort` is "live", "newest", "oldest", "updated", "name", "model" or "loss".
        """
        search = {"query": query, "status": status, "model": model, "sort": sort}
        given = {name: quote(text, safe="") for name, text in search.items() if text}
        path = "/api/v1/sessions"
        return self._pages(path, "sessions", SessionSummary, {**given, "limit": page_size})

    def session(self, session_id: str, *, attempt: int | None = None) -> SessionDetails:
        """Return everything that the bridge knows of a session: of all its attempts, or of one by itself."""
        path = f"{_session_path(session_id)}{_of(attempt)}"
        return self._decode(SessionDetails, self.get_json(path))

    def watch(
        self, session_id: str, *, interval_seconds: float = WATCH_SECONDS
    ) -> Iterator[SessionDetails]:
        """Yield a session as it is now, and again whenever it has changed; ends after it has yielded how it ended.

        The bridge is asked every `interval_seconds`, and one that is away is waited for. A session that does
        not exist, or no longer, is a ProblemError.
        """
        return changes(lambda: self.session(session_id), interval_seconds)

    def curves(
        self,
        session_id: str,
        *,
        names: Iterable[str] | str = (),
        split: str | None = None,
        by: str = "step",
        since: Moment | None = None,
        points: int | None = None,
        attempt: int | None = None,
    ) -> tuple[Curve, ...]:
        """Return the curves of the numbers that a session logs by name; by default all.

        `split` selects one such as "validation", or "" those without; `by` is "step" or "time", `since` leaves
        out what came before, and `points` is the most that a curve may have. The losses of batches and of epochs
        are `losses` and `epochs` of the session.
        """
        given = {"by": by, "split": split, "attempt": attempt}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        answer = self.get_json(f"{_session_path(session_id)}/curves?{query}")
        curves = self._decode(tuple[Curve, ...], answer.get("curves"))
        return tuple(replace(one, by=by) for one in chosen_curves(curves, names, since, points))

    def events(
        self, session_id: str, *, since: Moment | None = None, attempt: int | None = None
    ) -> tuple[LoggedEvent, ...]:
        """Return what the loop has reported as events, the oldest first; the bridge keeps the newest 200."""
        answer = self.get_json(f"{_session_path(session_id)}/events{_of(attempt)}")
        events = self._decode(tuple[LoggedEvent, ...], answer.get("events"))
        return tuple(event for event in events if event.at >= seconds_of(since))

    def compare(self, session_ids: Sequence[str], *, curve: str = "", by: str = "") -> Comparison:
        """Return sessions side by side: their results, what differs in their configurations, and a curve of each.

        `curve` is "loss" (of batches), one of epochs such as "epoch.validation_loss", or a number that they log.
        """
        given = {"sessions": ",".join(session_ids), "curve": curve, "by": by}
        query = urlencode({name: text for name, text in given.items() if text})
        return self._decode(Comparison, self.get_json(f"/api/v1/compare?{query}"))

    def annotations(
        self,
        session_ids: Sequence[str] = (),
        *,
        kinds: Sequence[str] = (),
        since: Moment | None = None,
    ) -> Iterator[Annotation]:
        """Yield what has happened to sessions, the newest first; without ids, to those registered last.

        `kinds` are of "attempt", "epoch", "event", "command", "alert" and "end".
        """
        query = {"session": ",".join(session_ids), "kind": ",".join(kinds)}
        if since is not None:
            query["from"] = str(round(seconds_of(since) * 1000))
        given = {name: quote(text, safe="") for name, text in query.items() if text}
        path = "/api/v1/annotations"
        return self._pages(
            path, "annotations", Annotation, {**given, "limit": ANNOTATIONS_PER_PAGE}
        )

    def batches(
        self,
        session_id: str,
        *,
        after: tuple[int, int] | None = None,
        attempt: int | None = None,
        page_size: int = BATCHES_PER_PAGE,
    ) -> Iterator[ListedBatch]:
        """Yield the batches with stored images by epoch and batch, those behind (epoch, batch) `after`.

        Each is of the newest attempt that has it, or all are of the `attempt` given.
        """
        path = f"{_session_path(session_id)}/images"
        query: dict[str, object] = {"limit": page_size}
        if after is not None:
            query["after"] = f"{after[0]}-{after[1]}"
        if attempt is not None:
            query["attempt"] = attempt
        return self._pages(path, "batches", ListedBatch, query)

    def image(
        self, session_id: str, epoch: int, batch: int, position: int, *, attempt: int | None = None
    ) -> bytes:
        """Return the JPEG at a position of a batch, as it was sent; by default of the newest attempt that has it."""
        name = quote(session_id, safe="")
        path = f"/sessions/{name}/batches/{epoch}-{batch}/{position}.jpg"
        return self.get(f"{path}{_of(attempt)}")

    def commands(self, session_id: str) -> tuple[SubmittedCommand, ...]:
        """Return the commands of a session, oldest first."""
        answer = self.get_json(f"{_session_path(session_id)}/commands")
        return self._decode(tuple[SubmittedCommand, ...], answer.get("commands"))

    def submit_command(
        self,
        session_id: str,
        type: CommandType | str,
        parameters: Mapping[str, str | float] | None = None,
        *,
        command_id: str = "",
        wait: float = 0.0,
        by: str = "",
        expires_in_seconds: float | None = None,
    ) -> SubmittedCommand:
        """Submit a command to the training loop of a session; `commands` shows what becomes of it.

        The same `command_id` again is the same command, so a call that failed can be repeated. With `wait` it
        returns once the loop has answered, or after so many seconds; a QueryError says that the run was over first.
        `by` names who asks, for the history; after `expires_in_seconds` without an answer it is not sent any more.
        """
        body: dict[str, object] = {
            "type": type.name if isinstance(type, CommandType) else type,
            "parameters": dict(parameters or {}),
        }
        if command_id:
            body["command_id"] = command_id
        if by:
            body["by"] = by
        if expires_in_seconds is not None:
            body["expires_in_seconds"] = expires_in_seconds
        answer = self.get_json(f"{_session_path(session_id)}/commands", body)
        command = self._decode(SubmittedCommand, answer)
        return self.answered(command, wait) if wait > 0 else command

    def answered(self, command: SubmittedCommand, seconds: float) -> SubmittedCommand:
        """Return a command once the loop has answered, or as it is after so many seconds.

        Raises QueryError where the session has ended without an answer.
        """
        session_id = command.session_id
        return answered(
            lambda: self.commands(session_id),
            lambda: self.session(session_id).stage != "live",
            command,
            seconds,
        )

    def delete_session(
        self,
        session_id: str,
        *,
        attempt: int | None = None,
        images: bool = False,
        force: bool = False,
    ) -> None:
        """Delete a session that has ended, and with `images` what the object store has of it, for good.

        All of its attempts go, or only the one with the number `attempt`.
        A ProblemError whose `status` is 409 says that it is still running; with `force` one that is
        disconnected, and has not ended, is deleted all the same.
        """
        switches = {"images": images, "force": force}
        which = [] if attempt is None else [f"attempt={attempt}"]
        query = "&".join([*which, *(f"{name}=true" for name, is_on in switches.items() if is_on)])
        self._server.fetch(f"{_session_path(session_id)}?{query}", method="DELETE")

    def metrics(self) -> str:
        """Return /metrics in the text format of Prometheus."""
        return self.get("/metrics").decode(errors="replace")

    def check_ready(self) -> None:
        """Return if the bridge is ready; a ProblemError whose `status` is 503 names the failing checks."""
        self.get("/readyz")

    def get_json(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Return the object that the API answers to a GET, or to a POST of the body given."""
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = json.loads(self._server.fetch(path, data))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._not_a_bridge()
        return answer

    def get(self, path: str) -> bytes:
        """Return the body at any path of the bridge."""
        return self._server.fetch(path)

    def _pages(
        self, path: str, member: str, kind: type[Record], query: Mapping[str, object]
    ) -> Iterator[Record]:
        """Follow `next` by its query alone: the address before it may not be reachable from here."""
        following = "&".join(f"{name}={value}" for name, value in query.items())
        while following:
            answer = self.get_json(f"{path}?{following}")
            yield from self._decode(tuple[kind, ...], answer.get(member))  # type: ignore[valid-type]
            following = urlsplit(answer.get("next") or "").query

    def _decode(self, kind: type[Record], answer: object) -> Record:
        try:
            record: Record = from_json(kind, answer)
        except ValueError as error:
            raise self._not_a_bridge() from error
        return record

    def _not_a_bridge(self) -> NoBridgeError:
        return NoBridgeError(
            f"no bridge at {self.url}: something else answers there; check host, port and path: {PORTS}"
        )


def _session_path(session_id: str) -> str:
    return f"/api/v1/sessions/{quote(session_id, safe='')}"


def _of(attempt: int | None) -> str:
    """Return the query that asks for one attempt."""
    return "" if attempt is None else f"?attempt={attempt}"
