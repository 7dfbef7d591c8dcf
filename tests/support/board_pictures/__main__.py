"""Draws what Grafana would show of every board, without a Grafana: `python -m support.board_pictures --output FOLDER`.

Either of a Prometheus that runs already, or of a scene of trainings that is played for it.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.board_pictures.page import page
from support.board_pictures.questions import Questions
from support.board_pictures.scene import scene
from support.board_pictures.variables import Scope, Window
from support.browser import chromium
from support.prometheus_api import asking
from support.tools import found

from grafana.build import BOARDS

SESSION = {"session": "digits-base,digits-fast"}
"""What is compared of the scene; boards of one session show the first."""

SCRAPE_SECONDS = 5
"""What boards take for the scrape interval of the scene, which is a second: curves without jitter."""


def main() -> None:
    """Draw the boards that the words ask for."""
    words = _words()
    if words.prometheus:
        draw(words.prometheus, words)
        return
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), words.seconds) as prometheus:
        words.scrape_seconds = SCRAPE_SECONDS
        words.set = [f"{name}={value}" for name, value in SESSION.items()] + words.set
        draw(prometheus.url, words)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m support.board_pictures", description=__doc__)
    parser.add_argument("--prometheus", metavar="URL", help="ask this one (default: play a scene)")
    parser.add_argument(
        "--seconds", type=float, default=300, help="of the scene, or that the boards show"
    )
    parser.add_argument("--scrape-seconds", type=float, default=15, help="how often it scrapes")
    parser.add_argument(
        "--board", action="append", default=[], metavar="UID", help="only this one; repeat"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="choose of a variable"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    return parser.parse_args()


def draw(url: str, words: argparse.Namespace) -> None:
    """Write a page for each board and, where Chromium is there, a picture of the page."""
    end = time.time()
    window = Window(end - words.seconds, end, words.scrape_seconds)
    questions = Questions(asking(url), Scope(window))
    words.output.mkdir(parents=True, exist_ok=True)
    chosen = dict(one.split("=", 1) for one in words.set)
    pages = [
        _write(board, questions, chosen, words.output)
        for board in BOARDS
        if _is_wanted(board, words.board)
    ]
    if found("chromium"):
        asyncio.run(_photograph(pages))


def _is_wanted(board: Mapping[str, Any], uids: list[str]) -> bool:
    return not uids or board["uid"] in uids


def _write(
    board: dict[str, Any], questions: Questions, chosen: Mapping[str, str], folder: Path
) -> Path:
    wanted = {
        variable["name"]: value if variable.get("multi") else value.split(",")[0]
        for variable in board["templating"]["list"]
        if (value := chosen.get(variable["name"])) and not variable.get("includeAll")
    }
    path = folder / f"{board['uid']}.html"
    path.write_text(page(board, questions, chosen=wanted))
    print(path)  # noqa: T201 -- the answer to whoever looks
    return path


async def _photograph(pages: list[Path]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with chromium(Path(profile)) as tab:
            await tab.emulate(width=1632, height=1000)
            for path in pages:
                await tab.open(path.resolve().as_uri())
                picture = path.with_suffix(".png")
                picture.write_bytes(await tab.picture())
                print(picture)  # noqa: T201


if __name__ == "__main__":
    main()
