"""What to do where a bridge does not let somebody in over HTTP, or not to what was asked for."""

from urllib.parse import urlsplit

from bridge.client.token_source import TokenSource

GIVE_ONE = "give a token in a file: token_file, --token-file or TRAINBRIDGE_TOKEN_FILE"

PROXY = (
    "if it is a proxy in front of the bridge that wants to know who asks, use an address that leads to the bridge"
    " itself, with --url or TRAINBRIDGE_URL"
)

ROLES = "view reads, control sends commands and deletes, metrics reads /metrics"

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, PROXY_UNAUTHORIZED = 401, 403, 404, 407


def way_out(status: int, token: TokenSource, *, elsewhere: str, has_detail: bool) -> str:
    """Return what to do about an error status; "" where the answer's own text is enough.

    `elsewhere` is the URL of another server that the bridge has redirected to; `has_detail`: the answer says more
    than its status, as those of a bridge do.
    """
    if elsewhere and status in (UNAUTHORIZED, FORBIDDEN):
        parts = urlsplit(elsewhere)
        return (
            f"that was {parts.scheme}://{parts.netloc}, to which it was redirected, and no token was sent there; give"
            " that address if it is the bridge's"
        )
    ways = _ways(token, has_detail=has_detail)
    may_be_proxy = not has_detail and status in (UNAUTHORIZED, FORBIDDEN, PROXY_UNAUTHORIZED)
    return "; ".join(filter(None, (ways.get(status), PROXY if may_be_proxy else "")))


def _ways(token: TokenSource, *, has_detail: bool) -> dict[int, str]:
    if not token:
        return {} if has_detail else {UNAUTHORIZED: GIVE_ONE}
    shown = f"that is the token from {token.source}"
    return {
        UNAUTHORIZED: f"{shown}{_renewal(token)}",
        FORBIDDEN: shown
        if has_detail
        else f"{shown}: ask for one with the role for this ({ROLES})",
        NOT_FOUND: "a token sees the sessions that it is for, and no others" if has_detail else "",
    }


def _renewal(token: TokenSource) -> str:
    if token.path is None:
        return ": give a valid one"
    problem = f" (when last read: {token.problem})" if token.problem else ""
    return f": write a valid one into it{problem}"
