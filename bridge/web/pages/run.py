"""The page of a run: its ranks side by side."""

import asyncio

from aiohttp import web

from bridge.web.dependencies import deps_of
from bridge.web.identity import viewer_of
from bridge.web.links import run_link, with_query
from bridge.web.request_params import whole_param
from bridge.web.runs.findings import findings
from bridge.web.runs.lookup import run_of
from bridge.web.runs.selection import RANK_SORT_TEXTS, RankSort, rank_sort, sorted_ranks
from bridge.web.runs.view import MAX_RANKS, RunView
from bridge.web.templating import html_response, render, root_of

PER_PAGE = 128


async def run_page(request: web.Request) -> web.Response:
    """Return the ranks of a run, as many as fit on a page, in the order asked for."""
    sort = rank_sort(request)
    offset = whole_param(request, "offset", 0, highest=MAX_RANKS)
    view = await run_of(request)
    root, grafana_url = root_of(request), deps_of(request).grafana_url
    viewer = viewer_of(request)

    def render_page() -> str:
        ranks = sorted_ranks(view, sort)
        return render(
            "run.html",
            root,
            viewer,
            run=view,
            findings=findings(view),
            ranks=ranks[offset : offset + PER_PAGE],
            sort=sort,
            sorts=RANK_SORT_TEXTS,
            pages=_pages(view, root, sort, offset),
            grafana_url=grafana_url,
        )

    return html_response(await asyncio.to_thread(render_page))


def _pages(view: RunView, root: str, sort: RankSort, offset: int) -> dict[str, str]:
    """Return the addresses of the pages before and after, where there are any."""

    def address(start: int) -> str:
        order = "" if sort is RankSort.RANK else str(sort)
        return with_query(
            f"{root}{run_link(view.run_id)}", {"sort": order, "offset": str(start or "")}
        )

    following = offset + PER_PAGE
    return {
        "before": address(max(0, offset - PER_PAGE)) if offset else "",
        "after": address(following) if following < len(view.readings) else "",
    }
