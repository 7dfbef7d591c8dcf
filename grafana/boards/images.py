"""The board of one session's images: the newest and the worst, and what the model took them for."""

from grafana.annotations import alerts, attempts, commands, epochs
from grafana.board import BRIDGE_URL, PAGE_OF_THE_SESSION, SESSION, board
from grafana.boards import images_predictions as predictions
from grafana.counts import in_range
from grafana.links import OF_THE_BOARD, images_at_point
from grafana.panels import PER_SECOND, Query, override, row, stat, text, timeseries
from grafana.promql import latest, newest, with_bridge
from grafana.sheets import sheet

IMAGES = "training_images_total"

SHEETS_HEIGHT = 16


def sheet_in_range(prefer: str, alternative: str) -> str:
    """Return the contact sheet of a batch within the time shown, which leads to that batch."""
    chosen = f"from=${{__from}}&amp;to=${{__to}}&amp;prefer={prefer}"
    page = f"{OF_THE_BOARD}/go/images?session=${{session}}&amp;{chosen}"
    return sheet(alternative, page=page, chosen=chosen, height=SHEETS_HEIGHT)


def counted(results: str) -> Query:
    """Return how many images came to one of these ends within the time shown."""
    return Query(
        f"round(sum({in_range(f'{IMAGES}{{result=~{chr(34)}{results}{chr(34)}}}')}))",
        is_instant=True,
    )


SHEETS = (
    text(
        "Newest images",
        "The images of the newest batch within the time shown, with prediction, confidence and truth; wrong ones in red. A click opens the batch. Grey: there are none, or your browser cannot reach the bridge.",
        sheet_in_range("newest", "newest images"),
        width=8,
        height=SHEETS_HEIGHT,
    ),
    text(
        "Worst images",
        "The images of the batch with the highest loss within the time shown. A click opens the batch. Narrow the time to a spike to see what was in it.",
        sheet_in_range("max_loss", "images of the highest loss"),
        width=8,
        height=SHEETS_HEIGHT,
    ),
)

LOSS = timeseries(
    "Loss",
    "The highest loss between two points, so that no spike hides. A click on a point opens the images of that moment; draw over a spike to see its worst images on the left.",
    Query(
        with_bridge(newest("max_over_time(training_loss_interval_max[$__interval])")),
        "highest",
    ),
    height=SHEETS_HEIGHT,
    scale="symlog",
    links=(images_at_point(is_extreme=True),),
)

AT_A_GLANCE = (
    stat(
        "Newest image",
        "How long ago the newest image arrived that was kept. Long ago while the session runs: it sends none, or none are kept; see Images by result.",
        Query(f"time() - max({latest('training_last_image_timestamp_seconds')})", is_instant=True),
        unit="s",
        defaults={"decimals": 0, "noValue": "none"},
    ),
    stat(
        "Kept",
        "Images that were stored within the time shown. The sampler keeps those of the worst batches and of the first of each epoch (--images-keep).",
        counted("stored"),
        unit="short",
        defaults={"noValue": "none"},
    ),
    stat(
        "Sampled out",
        "Images that the sampler left out within the time shown, on purpose: other batches had a higher loss.",
        counted("sampled_out"),
        unit="short",
        defaults={"noValue": "none"},
    ),
    stat(
        "Dropped",
        "Images that were dropped for lack of room, or refused since they are no JPEGs, within the time shown. Red: the board of the bridges says which and why.",
        counted("dropped|invalid"),
        unit="short",
        steps=((None, "green"), (1, "red")),
        defaults={"noValue": "none"},
    ),
    *predictions.AT_A_GLANCE,
)

OVER_TIME = (
    timeseries(
        "Accuracy of predictions",
        "Share of right predictions as they come. A click on a point opens the images of that moment.",
        Query(
            with_bridge(
                f"sum by (job, instance, session_id) (rate({predictions.COUNTED}{predictions.CORRECT}[$__rate_interval]))"
                f" / (sum by (job, instance, session_id) (rate({predictions.COUNTED}[$__rate_interval])) > 0)"
            ),
            "right",
        ),
        width=12,
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        links=(images_at_point(),),
    ),
    timeseries(
        "Images by result",
        "Images in a second, by what became of them. Sampled out is on purpose; dropped and invalid ones are lost, and the board of the bridges says why.",
        Query(f"sum by (result) (rate({IMAGES}[$__rate_interval]))", "{{result}}"),
        width=12,
        unit=PER_SECOND,
        defaults={"min": 0},
        overrides=(
            override("stored", color=predictions.GREEN),
            override("dropped", color=predictions.RED),
        ),
    ),
)

IMAGES_BOARD = board(
    uid="trainbridge-images",
    title="Images",
    description="What one session was shown and what it took it for: its newest and its worst images, and each mistake with its images.",
    variables=(SESSION, BRIDGE_URL),
    annotations=(
        epochs(is_on=False),
        attempts(),
        commands(),
        alerts(),
    ),
    links=(PAGE_OF_THE_SESSION,),
    refresh="1m",
    since="now-1h",
    panels=(
        *AT_A_GLANCE,
        *SHEETS,
        LOSS,
        row("Predictions"),
        *predictions.PANELS,
        row("Over time"),
        *OVER_TIME,
    ),
)
