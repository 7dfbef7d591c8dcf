"""What a real bridge must have of a run that is over."""

from support.waiting import until_true


def check_arrived(bridge, session_id, batches, *, images=0):
    """Check that each batch counts once, that so many images are kept at least, and that the run has completed."""
    assert bridge.total("training_batches_total", session_id=session_id) == batches
    until_true(
        lambda: (
            bridge.total("training_images_total", session_id=session_id, result="stored") >= images
        )
    )
    details = bridge.client.session(session_id)
    assert details.state == "completed"
    assert details.batches == batches
