"""The optional board of pictures alone: the newest of every session, and of each mistake of one of them."""

from typing import Any

from grafana.board import BRIDGE_URL, SESSION, board
from grafana.boards.images_predictions import MISTAKES
from grafana.links import OF_THE_BOARD
from grafana.panels import PROMETHEUS, Query, target, text
from grafana.promql import CHOSEN_BRIDGES, newest, trainings, with_bridge

Json = dict[str, Any]

NEEDS = "Needs Grafana 13 with the feature toggle text.newFeatures, with which text panels fill in rows of queries."

EACH, END = "{{#each data}}", "{{/each}}"

TIME = "from=${__from}&amp;to=${__to}"


def gallery(title: str, description: str, query: Query, picture: str, *, height: int) -> Json:
    """Return a text panel that repeats a piece of HTML for each row of the answer to a query, `{{so}}` its fields."""
    made = text(title, f"{description} {NEEDS}", EACH + picture + END, width=24, height=height)
    asked = target(query._replace(is_instant=True, is_table=True))
    fields: Json = {"defaults": {}, "overrides": []}
    return made | {"datasource": PROMETHEUS, "targets": [asked], "fieldConfig": fields}


def picture(page: str, image: str, caption: str) -> str:
    """Return a picture that leads to a page, with words below it."""
    return (
        f'<a href="{page}" target="_blank" style="display:inline-block; margin:4px;">'
        f'<img src="{image}" alt="{caption}" width="280"><br>{caption}</a>'
    )


SESSIONS = gallery(
    "Newest images of every session",
    "The contact sheet of the newest batch of each session that is connected. A click opens its page. Grey: it has sent no images.",
    Query(
        trainings(
            with_bridge(
                newest("training_session_info")
                + " and on (job, instance, session_id) training_session_connected == 1"
            )
        ),
        session=CHOSEN_BRIDGES,
    ),
    picture(
        "{{public_url}}/sessions/{{session_id}}",
        "{{public_url}}/sessions/{{session_id}}/sheet.jpg?at=${__to}&amp;prefer=newest",
        "{{session_id}}",
    ),
    height=16,
)

OF_A_MISTAKE = f"actual={{{{true_class}}}}&amp;predicted={{{{predicted_class}}}}&amp;{TIME}"

MISTAKES_SHOWN = gallery(
    "Images of the most frequent mistakes",
    "The ten pairs of classes that the session chosen above confused most often within the time shown, each with the newest batch that has one. A click opens that batch.",
    Query(f"topk(10, {MISTAKES})"),
    picture(
        f"{OF_THE_BOARD}/go/images?session=${{session}}&amp;{OF_A_MISTAKE}",
        f"{OF_THE_BOARD}/sessions/${{session}}/sheet.jpg?{OF_A_MISTAKE}",
        "{{true_class}} taken for {{predicted_class}}: {{Value}} times",
    ),
    height=20,
)

GALLERY = board(
    uid="trainbridge-gallery",
    title="Gallery",
    description=f"Pictures alone: the newest of every session, and those of each frequent mistake of one. {NEEDS}",
    variables=(SESSION, BRIDGE_URL),
    refresh="1m",
    since="now-1h",
    panels=(SESSIONS, MISTAKES_SHOWN),
)
