"""Liveness and readiness of the bridge."""

from aiohttp import web

from bridge.web.dependencies import deps_of


async def liveness(_request: web.Request) -> web.Response:
    """Return 200: the event loop runs."""
    return _text("ok\n")


async def readiness(request: web.Request) -> web.Response:
    """Return 200 when every check passes, else 503 with the name and problem of each that fails."""
    checks = [(check.name, check.problem()) for check in deps_of(request).readiness]
    failing = [f"{name}: {problem}\n" for name, problem in checks if problem]
    if failing:
        return _text("".join(failing), status=503)
    return _text("".join(f"{name}: ok\n" for name, _ in checks) or "ok\n")


def _text(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, headers={"Cache-Control": "no-store"})
