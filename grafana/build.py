"""Writes boards and alert rules to where they are shipped from: `python -m grafana.build`; tests compare what stands there."""

import json
from collections.abc import Mapping
from pathlib import Path

from grafana import alerting
from grafana.boards.bridge import BRIDGE
from grafana.boards.compare import COMPARE
from grafana.boards.fleet import FLEET
from grafana.boards.gallery import GALLERY
from grafana.boards.images import IMAGES_BOARD
from grafana.boards.infinity import INFINITY_BOARD
from grafana.boards.session import SESSION_BOARD
from grafana.boards.traces import TRACES_BOARD

ROOT = Path(__file__).parents[1]

DASHBOARDS = "grafana/dashboards"

OF_THE_CHART = "deploy/helm/trainbridge/files/dashboards"
"""Copies, since a chart takes no files from outside of its folder."""

BOARDS = (FLEET, SESSION_BOARD, IMAGES_BOARD, COMPARE, BRIDGE)

OPTIONAL_BOARDS = (INFINITY_BOARD, TRACES_BOARD, GALLERY)
"""Boards that need more than Prometheus: a plugin, Tempo, or a feature toggle; in a folder of their own."""


def files() -> Mapping[str, str]:
    """Return the text of every file that is written, by its path in the repository."""
    boards = {f"{board['uid']}.json": _text(board) for board in BOARDS}
    boards |= {f"optional/{board['uid']}.json": _text(board) for board in OPTIONAL_BOARDS}
    return {
        f"{folder}/{name}": text
        for folder in (DASHBOARDS, OF_THE_CHART)
        for name, text in boards.items()
    }


def _text(board: Mapping[str, object]) -> str:
    return json.dumps(board, indent=1) + "\n"


def write() -> None:
    """Write every file anew, and remove boards that there are no longer."""
    written = files()
    for folder in (DASHBOARDS, OF_THE_CHART):
        for path in (ROOT / folder).rglob("*.json"):
            if str(path.relative_to(ROOT)) not in written:
                path.unlink()
    for name, text in (*written.items(), *alerting.files().items()):
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text)


if __name__ == "__main__":
    write()
