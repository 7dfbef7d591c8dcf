"""Contact sheets in text panels: each wholly visible, and the way to what it shows."""

from grafana.links import OF_THE_BOARD

ROW_PX, GAP_PX = 38, 8
"""Of a row of Grafana's grid with the gap below it."""

FRAME_PX = 56
"""What the title of a panel and its padding take."""


def sheet(alternative: str, *, page: str, chosen: str, height: int) -> str:
    """Return the contact sheet of a batch of the session; `chosen`: which one, `height`: of its panel, in rows.

    Sheets are four images wide and up to four high: one has to be as small as its panel is wide and high.
    """
    picture = f"{OF_THE_BOARD}/sessions/${{session}}/sheet.jpg?{chosen}"
    room = height * ROW_PX - GAP_PX - FRAME_PX
    return (
        f'<a href="{page}" target="_blank">'
        f'<img src="{picture}" alt="{alternative}" style="max-width:100%; max-height:{room}px;"></a>'
    )
