"""Who gets into a container: nobody unasked, and whoever has a token that the image itself has made."""

import os

import pytest
from image.container import LOCKED, STATE, once, running, volume

# The image may have to be built first.
pytestmark = pytest.mark.timeout(600)


def test_an_open_door_is_not_opened_unasked(built):
    """Started with nothing that says who may come in, the bridge ends at once, and names the ways to say it."""
    done = once(built.store, built.name, options=LOCKED)

    assert done.status == 2
    assert "nothing says who may come in" in done.err
    assert "set tokens_file" in done.err


def test_it_makes_the_tokens_that_it_asks_for(built, tmp_path):
    """As docs/container.md has it: made by an operator's own uid, read by the bridge's, who is ready and lets nobody in without one."""
    user = 1_000_720_000
    os.chown(tmp_path, user, 0)
    words = (
        "token",
        "new",
        "people",
        "--roles",
        "control,metrics",
        "--file",
        "/access/tokens.yaml",
    )
    made = once(
        built.store,
        built.name,
        *words,
        options=("--user", str(user), f"--volume={tmp_path}:/access"),
    )
    tmp_path.chmod(0o755)
    (tmp_path / "tokens.yaml").chmod(0o644)
    closed = ("--env", "TRAINBRIDGE_ALLOW_ANONYMOUS=false", f"--volume={tmp_path}:/access:ro",
              "--env", "TRAINBRIDGE_TOKENS_FILE=/access/tokens.yaml")  # fmt: skip  # flags beside their values
    with (
        volume(built.store) as state,
        running(built.store, built.name, f"--volume={state}:{STATE}", *closed) as box,
    ):
        ready = box.execute("trainbridge", "healthcheck")
        checked, unknown = (
            box.execute(
                "sh", "-c", f"echo {token} | trainbridge token check --url http://127.0.0.1:8080"
            )
            for token in (made.out.strip(), "tb_nobody")
        )

    assert made.status == 0, made.err
    assert ready.out == "ready\n"
    assert (checked.status, unknown.status) == (0, 1), checked.err + unknown.err
