"""What begins an attempt of a session, against a real bridge."""

import json

from support.bridges import running_bridge
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire

RUN = KnownRun("run", images_every=0)


def test_a_client_without_an_instance_id_begins_an_attempt_after_its_end(tmp_path):
    """Registered again before its end it goes on; after its end its counts begin anew, also after a restart."""
    state = tmp_path / "state"
    with running_bridge(state) as bridge:
        train(bridge, batches=4, ends=False)
        train(bridge, batches=2, ends=True)
        until_true(lambda: details(bridge)["status"] == "completed")
        assert (details(bridge)["attempt"], details(bridge)["batches"]) == (1, 6)
        train(bridge, batches=3, ends=True)
        until_true(lambda: details(bridge)["batches"] == 3)
        assert details(bridge)["attempt"] == 2
        until_true(lambda: details(bridge)["status"] == "completed")
    with running_bridge(state) as bridge:
        train(bridge, batches=1, ends=False)
        assert (details(bridge)["attempt"], details(bridge)["batches"]) == (3, 1)


def train(bridge, *, batches, ends):
    """Register without an instance id, send batches, and the end of the run if it `ends`."""
    with RawClient(bridge.grpc, RUN, numbered=False) as client:
        assert client.register().success
        client.open()
        client.put([RUN.batch(number) for number in range(1, batches + 1)])
        until_true(lambda: len(client.answered) == batches)
        if ends:
            client.put([RUN.status(wire.COMPLETED)])
            client.finish()


def details(bridge):
    """Return the session as the API shows it."""
    return json.loads(bridge.get("/api/v1/sessions/run"))
