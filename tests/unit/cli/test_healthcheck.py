"""`trainbridge healthcheck`."""

import json

from support.answers import answering

from bridge import cli


def test_the_healthcheck_asks_for_readiness(bridge, capsys):
    """0: ready; 1: not, with the failing check; so it fits a container's HEALTHCHECK."""
    assert cli.main(["healthcheck"]) == 0

    with answering(503, b"stopping: it is stopping\n", "text/plain") as url:
        assert cli.main(["healthcheck", "--url", url]) == 1
    assert "stopping: it is stopping" in capsys.readouterr().err


def test_readiness_is_given_to_scripts_as_json(bridge, capsys):
    """The exit status is the same; what is not ready is in the object."""
    assert cli.main(["healthcheck", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ready": True}
    with answering(503, b"stopping: it is stopping\n", "text/plain") as url:
        assert cli.main(["healthcheck", "--json", "--url", url]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ready"] is False
    assert "stopping" in answer["reason"]
