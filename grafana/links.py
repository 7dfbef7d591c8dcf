"""Where a click on a board leads: pages and images of the bridge, and other boards."""

from typing import Any

from bridge.addresses import GO_TO_IMAGES
from bridge.sinks.metrics.observations import INTERVAL_SECONDS

Json = dict[str, Any]

OF_THE_SERIES = "${__field.labels.public_url}"
"""The bridge of the series that was clicked, by the label that `promql.with_bridge` joins in."""

HELD_MS = 2 * INTERVAL_SECONDS * 1000
"""How long after a batch its loss may still stand as the extreme of an interval."""

OF_THE_BOARD = "${bridge_url}"
"""The bridge of the session that the board shows."""


def images_at_point(
    *, session: str = "${__field.labels.session_id}", is_extreme: bool = False
) -> Json:
    """Return the link of a point in a chart to the images of its moment; one click follows it.

    The value of a point is the last one of the interval that ends there, so the images are looked for in that.
    Where a series `is_extreme` it holds its values, so they are looked for so much earlier, too: else the last
    points that show a spike would lead past it. Such a series has only finite values.
    """
    sought = f"held_ms={HELD_MS}&prefer=max_finite_loss" if is_extreme else "prefer=max_loss"
    return {
        "title": "Images of this moment",
        "targetBlank": True,
        "oneClick": True,
        "url": f"{OF_THE_SERIES}/{GO_TO_IMAGES}?session={session}"
        f"&at=${{__value.time}}&window_ms=${{__interval_ms}}&{sought}",
    }


def page_of_the_session() -> Json:
    """Return a link to the page of the session that the board shows."""
    url = f"{OF_THE_BOARD}/sessions/${{session}}"
    return {"title": "Page of this session", "targetBlank": True, "url": url}


def board(uid: str, title: str, query: str = "", *, one_click: bool = False) -> Json:
    """Return a link to another board that keeps the data source and the time; `query`: further parameters."""
    parameters = "&".join(filter(None, (query, "${datasource:queryparam}", "${__url_time_range}")))
    link: Json = {"title": title, "targetBlank": False, "url": f"/d/{uid}?{parameters}"}
    return link | {"oneClick": True} if one_click else link
