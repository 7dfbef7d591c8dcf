"""Why PostgreSQL failed, in a sentence that says what to do."""

import re

import psycopg

from bridge.errors import DatabaseAwayError, StorageError, UnwritableError
from bridge.storage.postgres.connecting import DatabaseAddress, UnansweredError

CLIENT_REFUSALS = (OverflowError, UnicodeEncodeError)

WAYS_OUT = {
    "42P01": "its tables are missing: start the bridge again, which makes them",
    "42703": "its tables are of another version: start the bridge again, which migrates them",
    "42P07": "another program uses it: make a database for the bridges alone",
    "42501": "grant its user all rights on the schema and its tables, or make it the owner of the database",
    "25006": "it is a standby, or read-only: name the hosts of all servers in the URL",
    "53100": "make room on its disk",
    "53200": "give it more memory, or lower its max_connections",
    "53300": "raise its max_connections, or the limit of its user or database, or lower database_pool_size of each bridge",
    "55P03": "another bridge holds these rows; the bridge tries again",
    "40P01": "another bridge was faster; the bridge tries again",
    "40001": "another bridge was faster; the bridge tries again",
    "57014": "it takes too long: look for long transactions, locks, a full disk or a standby that is away",
    "57P01": "it shuts down, or an administrator ended the connection; the bridge connects again",
    "57P02": "it restarts after a crash; the bridge connects again",
    "57P03": "it starts or stops; the bridge connects again",
    "25P03": "the bridge was held up inside of a transaction; it connects again",
}
"""By SQLSTATE; see "PostgreSQL Error Codes" in its manual."""

AWAY = ("25006", "25P03")
"""The server does not serve this bridge at the moment, besides those that say so by their class."""

FAILING = ("25006", "53100", "53200", "53300", "57P02", "57P03")
"""So do all of its connections; one that was ended may be the only one."""

UNREACHABLE = (
    "check that it runs, takes connections from here, and that user, password and database exist"
)

READ_ONLY = (
    "no server that the URL names takes writes: bring the primary back, promote a standby, or name the one that was promoted;"
    " or it has been made read-only: look whether its disk is full, and for default_transaction_read_only"
)

REFUSED_CONNECTIONS = {
    "session is read-only": READ_ONLY,
    "server is in hot standby": READ_ONLY,
    "too many c": WAYS_OUT["53300"],  # clients, or connections of a role or for a database
    "connection slots are reserved": WAYS_OUT["53300"],
}
"""By what stands in the text: libpq has no SQLSTATE of a connection that was refused."""

SILENT = (
    "it hangs, its disk is full or slow, or a standby in its synchronous_standby_names is away;"
    " the bridge connects again"
)

UNREPLICATED = (
    "committed on the primary alone: no synchronous standby confirmed it in time, so nothing of it is acknowledged."
    " Bring a standby back, or take it out of synchronous_standby_names"
)


ALL_ATTEMPTS = "All failures were:"
"""What psycopg puts before the failures of each host, once it has repeated the last of them."""

ATTEMPT = re.compile(
    r'^.*connection to server at "(?P<host>[^"]+)"[^,]*, port (?P<port>\d+) failed: (?:FATAL: *)?',
    re.MULTILINE,
)

GUESSES = re.compile(
    r"\n\s*(?:Is the server running|This probably means the server terminated|before or while processing).*"
)
"""What libpq adds to a cause; what to do is said after it."""


def is_refusal(error: BaseException) -> bool:
    """Return whether it is about a value that the database cannot hold: the same row is refused each time."""
    if isinstance(error, (*CLIENT_REFUSALS, psycopg.DataError, psycopg.IntegrityError)):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    code = error.sqlstate
    if isinstance(error, psycopg.ProgrammingError):
        return code == "42804" or (code is None and "cannot adapt" in str(error))
    return code is not None and code.startswith("54")  # too large for an index, or for a row


def is_stale(error: BaseException) -> bool:
    """Return whether other connections, made at the same time, are of no use either."""
    return isinstance(error, UnansweredError) or getattr(error, "sqlstate", None) == "25006"


def explain(what: str, error: Exception, address: DatabaseAddress) -> StorageError:
    """Return the error to raise for one of psycopg: what was asked for is a `what`."""
    if is_refusal(error):
        return UnwritableError(f"the database {address} cannot hold a value: {_text(error)}")
    text = f"the database {address} refused a {what}: {reason(error, address)}"
    if not _is_away(error):
        return StorageError(text)
    is_certain = isinstance(error, UnansweredError) or _code(error) in FAILING
    return DatabaseAwayError(text, is_certain=is_certain)


def reason(error: BaseException, address: DatabaseAddress) -> str:
    """Return why, and what to do about it."""
    text = address.redacted(_text(error))
    way_out = _way_out(error)
    return f"{text}: {way_out}" if way_out else text


def unreplicated(address: DatabaseAddress) -> StorageError:
    """Return the error for a commit that a synchronous standby has not confirmed."""
    return DatabaseAwayError(f"the database {address}: {UNREPLICATED}")


def _text(error: BaseException) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return primary or _brief(str(error)) or type(error).__name__


def _brief(text: str) -> str:
    """Return why no host could be connected to, as `host:port: why` for each of them."""
    attempts = GUESSES.sub("", text.rpartition(ALL_ATTEMPTS)[2].strip())
    return ATTEMPT.sub(r"\g<host>:\g<port>: ", attempts)


def _is_away(error: BaseException) -> bool:
    code = _code(error)
    if code:
        return code in AWAY or code.startswith(("08", "53", "57P"))
    return isinstance(error, psycopg.OperationalError)


def _code(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def _way_out(error: BaseException) -> str:
    code = _code(error)
    if code:
        return WAYS_OUT.get(code, "")
    if isinstance(error, UnansweredError):
        return SILENT
    if not isinstance(error, psycopg.OperationalError):
        return ""
    text = str(error)
    return next((way for cause, way in REFUSED_CONNECTIONS.items() if cause in text), UNREACHABLE)
