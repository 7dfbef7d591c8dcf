"""Why a query of a bridge failed."""


class QueryError(Exception):
    """A bridge could not be queried."""


class NoBridgeError(QueryError):
    """Nothing answers at the address, or what answers is not a bridge."""


class ProblemError(QueryError):
    """The bridge answered with an error, as a problem of RFC 9457 where it came from the API."""

    def __init__(self, status: int, title: str, detail: str = "", *, way_out: str = "") -> None:
        """Keep the HTTP status, what kind of problem it is, what exactly was wrong and what to do, if that is known."""
        super().__init__(
            f"the bridge answered {status}: {detail or title}{way_out and f'; {way_out}'}"
        )
        self.status = status
        self.title = title
        self.detail = detail
        self.way_out = way_out
