"""How many files and connections this process may have open."""

from contextlib import suppress

RESERVED = 200
"""For the database, the spool, the object store and the log."""


def raise_limit() -> int | None:
    """Raise the limit of open files to the highest that is allowed, and return it; None where there is none."""
    try:
        import resource  # noqa: PLC0415 -- there is none on Windows
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS says "unlimited" and refuses it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return None if soft == resource.RLIM_INFINITY else soft


def shortage(limit: int | None, *, grpc_connections: int, http_connections: int) -> str:
    """Return what is wrong where clients may use them up, or ""."""
    needed = grpc_connections + http_connections + RESERVED
    if limit is None or limit >= needed:
        return ""
    return (
        f"this process may open {limit} files and connections, and clients may take {needed}: raise the limit"
        " (ulimit -n, LimitNOFILE in systemd), or lower grpc_max_connections and http_max_connections"
    )
