"""Values of epochs as points."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pages import coordinates

from bridge.web.charts.epoch_chart import epoch_chart


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats() | st.none()), min_size=1, max_size=50)
)
def test_any_epochs_are_drawn_inside_the_picture(reported):
    """Epochs with gaps, huge values or NaN stay inside."""
    reported = sorted(dict(reported).items())
    chart = epoch_chart(
        [number for number, _ in reported], [("loss", "a", [loss for _, loss in reported])]
    )

    for line in chart.lines if chart else ():
        for piece in line.pieces:
            assert all(math.isfinite(place) and 0 <= place <= 1000 for place in coordinates(piece))
