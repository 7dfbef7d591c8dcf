"""The board of the bridges themselves: what comes in, what is lost, and what they wait for."""

from grafana.board import board
from grafana.boards import bridge_images, bridge_process, bridge_receiving
from grafana.panels import row

BRIDGE = board(
    uid="trainbridge-bridge",
    title="Bridges",
    description="The bridges themselves: what comes in, what is lost and why, and what they wait for. Sessions are on the other boards.",
    variables=(),
    refresh="30s",
    since="now-3h",
    panels=(
        *bridge_receiving.AT_A_GLANCE,
        row("Receiving"),
        *bridge_receiving.PANELS,
        row("Images and traces"),
        *bridge_images.PANELS,
        row("Process and scrapes"),
        *bridge_process.PANELS,
    ),
)
