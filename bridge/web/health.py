"""Liveness and readiness of the bridge."""

from aiohttp import web

from bridge.access import Role
from bridge.web.admission import is_admitted
from bridge.web.dependencies import deps_of


async def liveness(_request: web.Request) -> web.Response:
    """Return 200: the event loop runs."""
    return _text("ok\n")


async def readiness(request: web.Request) -> web.Response:
    """Return 200 when every check passes, else 503 with the name and problem of each that fails; some may be bearable.

    With `?verbose` every check is there, and what is known of the connections, on which nothing depends here; where
    credentials are asked for, to who may view all sessions.
    """
    is_verbose = "verbose" in request.query and await is_admitted(request, Role.VIEW)
    readiness = deps_of(request).readiness
    checks = [(check.name, check.problem()) for check in readiness]
    failing = [
        check.name
        for check, (_, problem) in zip(readiness, checks, strict=True)
        if problem and not check.is_bearable()
    ]
    lines = [
        f"{name}: {problem or 'ok'}\n"
        for name, problem in checks
        if problem or is_verbose or not failing
    ]
    if is_verbose:
        lines += [
            f"connection {check.name} ({check.target}): {check.result}\n"
            for check in deps_of(request).connection_checks()
        ]
    return _text("".join(lines) or "ok\n", status=503 if failing else 200)


def _text(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, headers={"Cache-Control": "no-store"})
