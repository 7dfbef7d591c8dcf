"""A module in the shape of wandb that reports to a bridge: what becomes of the calls of a script."""

import logging
from argparse import Namespace

import numpy as np
import pytest

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.compat import wandb
from bridge.client.compat.wandb import environment
from bridge.client.testing import RecordingBridge


@pytest.fixture
def bridge():
    """Return a bridge that records what a script reports; no run is left over."""
    yield RecordingBridge()
    wandb.finish()


def scalars(bridge):
    """Return {(name, split, step): value} of everything that was reported."""
    return {
        (name, call.split, call.step): pytest.approx(value)
        for call in bridge.scalars
        for name, value in call.values.items()
    }


def test_the_loss_makes_batches_and_all_else_is_a_curve(bridge):
    """Of dictionaries as scripts log them, nested or with slashes; each log is a step."""
    run = wandb.init(project="cats", config={"lr": 0.5}, address=bridge, strict=True)
    assert wandb.run is run
    wandb.log({"train/loss": 0.5, "val": {"loss": 0.75, "acc": 0.25}, "lr": 0.125, "note": None})
    assert wandb.run.step == 1
    run.log({"train/loss": 0.25, "epoch": 1})
    wandb.finish()

    assert [(batch.step, batch.loss) for batch in bridge.batches] == [(0, 0.5), (1, 0.25)]
    assert scalars(bridge) == {
        ("loss", "validation", 0): 0.75,
        ("acc", "validation", 0): 0.25,
        ("learning_rate", "", 0): 0.125,
        ("epoch", "", 1): 1.0,
    }
    assert bridge.config == {"lr": 0.5}
    assert bridge.statuses[-1][0] is Status.COMPLETED
    assert wandb.run is None


def test_steps_are_those_of_the_script(bridge):
    """Given, held by commit=False, or counted by a metric; one that goes back is left out and counted."""
    with wandb.init(address=bridge) as run:
        run.log({"loss": 0.5}, step=10)
        run.log({"accuracy": 0.25}, step=10)
        run.log({"loss": 0.75}, step=5)
        run.log({"loss": 0.25}, commit=False)
        run.log({"accuracy": 0.5})
        run.log({"loss": 0.125})
        left_out = run.session.stats.left_out

    assert [(b.step, b.loss) for b in bridge.batches] == [(10, 0.5), (10, 0.25), (11, 0.125)]
    assert scalars(bridge) == {("accuracy", "", 10): 0.5}
    assert left_out == {"logs: not supported": 1}


def test_a_step_metric_counts_steps(bridge):
    """By define_metric, as the x axis it would be."""
    with wandb.init(address=bridge, strict=True) as run:
        run.define_metric("iter")
        wandb.define_metric("*", step_metric="iter")
        run.log({"iter": 0, "train/loss": 0.5})
        run.log({"iter": 2000, "train/loss": 0.25})

    assert [(batch.step, batch.loss) for batch in bridge.batches] == [(0, 0.5), (2000, 0.25)]
    assert not bridge.scalars


def test_the_configuration(bridge, caplog):
    """By item, attribute and update, from a Namespace; after the run has begun an event shows it, but no secret."""
    run = wandb.init(config=Namespace(lr=0.5, epochs=3), address=bridge, config_exclude_keys=["x"])
    wandb.config.update({"optimizer": {"name": "sgd"}, "hf_token": "hf_0123456789abcdef"})
    wandb.config.epochs = 4
    run.config["batch_size"] = 8
    run.config.setdefaults({"lr": 9.0, "depth": 2})
    assert (wandb.config.lr, wandb.config["epochs"], run.config.get("width")) == (0.5, 4, None)
    assert wandb.config.hf_token == "hf_0123456789abcdef"
    assert "depth" in run.config
    wandb.log({"loss": 0.5})
    wandb.config.update({"late": 1, "api_key": "0123456789abcdef"}, allow_val_change=True)
    wandb.finish()

    assert bridge.config == {
        "lr": 0.5,
        "epochs": 4,
        "optimizer.name": "sgd",
        "batch_size": 8,
        "depth": 2,
    }
    assert [(event.name, event.details) for event in bridge.events] == [("config", {"late": "1"})]


def test_pictures_stand_beside_the_loss_of_their_step(bridge, tmp_path, caplog):
    """Of arrays, tensors, Pillow images, files and figures; captions and masks are left out, which is said."""
    torch = pytest.importorskip("torch")
    pil = pytest.importorskip("PIL.Image")
    path = tmp_path / "cat.png"
    pil.new("RGB", (8, 6)).save(path)
    array = np.zeros((6, 8, 3), np.uint8)
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        wandb.init(address=bridge) as run,
    ):
        samples = [
            wandb.Image(array, caption="a cat"),
            wandb.Image(torch.zeros(3, 6, 8)),
            wandb.Image(pil.new("L", (8, 6))),
            wandb.Image(str(path), masks={"m": {}}),
        ]
        array += 255
        run.log({"loss": 0.5, "samples": samples})
        run.log({"only": wandb.Image(array)})
        run.log({"missing": wandb.Image(str(tmp_path / "dog.png"))})
        left_out = run.session.stats.left_out

    assert [(b.step, b.loss, len(b.images)) for b in bridge.batches] == [(0, 0.5, 4), (1, None, 1)]
    assert bridge.batches[0].images[0] != bridge.batches[1].images[0]
    assert all(image for batch in bridge.batches for image in batch.images)
    assert left_out == {
        "captions: not supported": 1,
        "masks: not supported": 1,
        "images: unreadable": 1,
    }
    assert any("dog.png" in record.message for record in caplog.records)


def test_distributions_are_quantiles(bridge):
    """Of numbers, or of counts and edges."""
    with wandb.init(address=bridge, strict=True) as run:
        run.log({"weights": wandb.Histogram(list(range(101)))})
        run.log({"weights": wandb.Histogram(np_histogram=([1, 1], [0, 1, 2]))})

    found = scalars(bridge)
    assert found["weights/p5", "", 0] == 5.0
    assert found["weights/p50", "", 1] == 1.0
    assert len(found) == 14


def test_what_a_bridge_has_no_place_for_is_said_once(bridge, caplog):
    """Nothing raises, each counts, and one line of the log says what to do instead."""
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        wandb.init(address=bridge, save_code=True) as run,
    ):
        run.watch(object(), log="all", log_freq=10)
        wandb.save("model.pt")
        artifact = wandb.Artifact("model", type="model")
        artifact.add_file("model.pt")
        run.log_artifact(artifact).wait()
        table = wandb.Table(columns=["a"], data=[[1]])
        table.add_data(2)
        for _ in range(2):
            run.log(
                {"loss": 0.5, "table": table, "said": "hello", "pr": wandb.plot.pr_curve([], [])}
            )
        run.log({"object": object(), "many": np.zeros(9), "list": [1, 2]})
        left_out = run.session.stats.left_out
        with pytest.raises(wandb.Error, match="keeps no files"):
            run.use_artifact("model:latest")

    assert left_out == {
        "watch: not supported": 1,
        "files: not supported": 1,
        "artifacts: not supported": 1,
        "Table: not supported": 2,
        "texts: not supported": 2,
        "Plotly: not supported": 2,
        "object: not supported": 1,
        "arrays: not supported": 2,
    }
    assert len([r for r in caplog.records if r.message.startswith("Table left out")]) == 1
    with pytest.raises(AttributeError, match="keep wandb itself"):
        wandb.sweep({})


def test_alerts_and_the_summary_are_events(bridge):
    """With the level that the script says; the summary as the run ends."""
    with wandb.init(address=bridge, strict=True) as run:
        wandb.alert(title="low accuracy", text="0.1", level=wandb.AlertLevel.WARN)
        run.alert("done", "at last", level="INFO", wait_duration=300)
        run.log({"loss": 0.5})
        wandb.summary["best"] = 0.75

    assert [(event.name, event.message, event.level) for event in bridge.events] == [
        ("low accuracy", "0.1", "warning"),
        ("done", "at last", "info"),
        ("summary", "", "info"),
    ]
    assert bridge.events[-1].details == {"best": "0.75"}
    assert run.summary.as_dict() == {"best": 0.75, "loss": 0.5}


def test_how_a_run_ended(bridge):
    """Completed, failed with an exit code, or with the exception of its block."""
    wandb.init(address=bridge).log({"loss": 0.5})
    wandb.finish(exit_code=3)
    assert bridge.statuses[-1] == (Status.FAILED, "exit code 3")

    def train():
        with wandb.init(address=bridge) as run:
            run.log({"loss": 0.5})
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError):
        train()
    assert bridge.statuses[-1] == (Status.FAILED, "RuntimeError: out of luck")


def test_runs_one_after_the_other_share_nothing():
    """As in a sweep: configuration, steps and the rule for the loss begin anew."""
    bridges = [RecordingBridge() for _ in range(3)]
    for number, bridge in enumerate(bridges):
        run = wandb.init(config={"number": number}, reinit=True, address=bridge, strict=True)
        wandb.log({"loss": 0.5} if number else {"train_loss": 0.5})
        wandb.log({"loss": 0.25})
        assert wandb.run is run
    wandb.finish()

    assert [bridge.config for bridge in bridges] == [{"number": number} for number in range(3)]
    assert [batch.step for batch in bridges[2].batches] == [0, 1]
    assert len({bridge.identity.session_id for bridge in bridges}) == 3
    assert all(bridge.statuses[-1][0] is Status.COMPLETED for bridge in bridges)


def test_a_run_that_goes_on_is_returned(bridge, caplog):
    """Unless reinit says otherwise; a run beside it does not become the current one."""
    run = wandb.init(address=bridge)
    with caplog.at_level(logging.WARNING, "trainbridge"):
        assert wandb.init() is run
    other = wandb.init(address=RecordingBridge(), reinit="create_new")
    assert wandb.run is run
    assert other is not run
    other.finish()
    assert "a run goes on" in caplog.text


def test_a_run_may_be_renamed_until_it_begins(bridge, tmp_path):
    """Then an event shows it; what else scripts read of a run is there."""
    run = wandb.init(project="cats", name="a", dir=tmp_path, address=bridge, strict=True)
    wandb.run.name = "night"
    wandb.run.tags += ("late",)
    run.log({"loss": 0.5})
    run.notes = "a longer warm-up"

    assert run.path == f"cats/{run.id}"
    assert run.to_html() == run.id
    assert (run.dir, run.url, run.project_name()) == (
        str(tmp_path / "trainbridge-files" / "a"),
        None,
        "cats",
    )
    with pytest.raises(AttributeError, match="keep wandb itself"):
        run.pin_config_keys(["lr"])
    wandb.finish()
    assert bridge.identity.config.model == "night"
    assert bridge.identity.labels["tags"] == "late"
    assert bridge.events[0].details == {"notes": "a longer warm-up"}


def test_before_init_it_says_what_to_do():
    """As the original does."""
    with pytest.raises(wandb.Error, match=r"wandb\.init\(\)"):
        wandb.log({"loss": 0.5})
    assert wandb.run is None


def test_a_resumed_run_is_the_same_session(bridge, caplog):
    """By its id, and where it goes on."""
    run = wandb.init(id="my run/7", resume="allow", address=bridge)
    run.log({"loss": 0.5})
    wandb.finish()
    assert bridge.identity.session_id == run.id
    assert run.id.startswith("my-run-7-")
    again = wandb.init(id="night-7", resume_from="night-7?_step=41", address=bridge)
    again.log({"loss": 0.5})
    wandb.finish()
    assert (bridge.identity.session_id, bridge.batches[-1].step) == ("night-7", 42)
    with caplog.at_level(logging.WARNING, "trainbridge"):
        wandb.init(resume=True, address=bridge)
    assert "without an id" in caplog.text


def test_a_run_that_is_switched_off_reports_nothing(monkeypatch):
    """By mode, WANDB_MODE or WANDB_DISABLED; every call works all the same."""
    for variable, value in (("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true")):
        monkeypatch.setenv(variable, value)
        bridge = RecordingBridge()
        with wandb.init(config={"lr": 0.5}, address=bridge) as run:
            run.log({"loss": 0.5, "image": wandb.Image(np.zeros((8, 8, 3)))})
            run.watch(object())
            run.alert("x", "y")
            assert wandb.config.lr == 0.5
            assert run.session.should_stop is False
            assert run.url is None
        assert bridge.identity is None
        monkeypatch.delenv(variable)


def test_settings_may_switch_it_off(bridge):
    """As those of a script that passes them through."""
    wandb.init(settings=wandb.Settings(mode="disabled", silent=True), address=bridge).log({"a": 1})
    wandb.finish()
    run = wandb.init(settings={"run_id": "night-7"}, address=bridge)
    run.log({"loss": 0.5})
    wandb.finish()
    assert bridge.identity.session_id == run.id == "night-7"
    assert len(bridge.batches) == 1


def test_offline_keeps_a_spool(tmp_path, monkeypatch, caplog):
    """Which a line of the log names, with what delivers it."""
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    monkeypatch.delenv("TRAINBRIDGE_SPOOL_DIR", raising=False)
    with caplog.at_level(logging.WARNING, "trainbridge"):
        run = wandb.init(dir=tmp_path, address="127.0.0.1:1")
        run.log({"loss": 0.5})
        run.session.close()
        kept = run.session.stats.kept
    wandb.finish()
    assert kept > 0
    assert f"trainbridge sync {tmp_path}" in caplog.text


def test_variables_of_the_environment():
    """Those that say who the run is; arguments come first."""
    variables = {
        "WANDB_PROJECT": "cats",
        "WANDB_NAME": "night",
        "WANDB_RUN_ID": "night-7",
        "WANDB_TAGS": "a,b",
        "WANDB_RUN_GROUP": "sweep",
    }
    none = dict.fromkeys(
        [
            "project",
            "name",
            "id",
            "mode",
            "group",
            "job_type",
            "tags",
            "notes",
            "dir",
            "resume_from",
        ]
    )
    found = environment.run_identity(**none | {"name": "day"}, environment=variables)
    assert (found.id, found.name, found.project, found.mode) == ("night-7", "day", "cats", "online")
    assert found.about({"epochs": 3}) == {
        "model": "day",
        "session_id": "night-7",
        "resume_step": None,
        "epochs": 3,
        "labels": {"project": "cats", "run": "day", "group": "sweep", "tags": "a,b"},
    }


def test_commands_reach_the_script(bridge):
    """By the session of the run."""
    run = wandb.init(address=bridge, strict=True)
    rates = []
    run.session.on(CommandType.CHANGE_LEARNING_RATE, rates.append)
    bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.5)
    run.log({"loss": 0.5})
    bridge.send_command(CommandType.STOP_TRAINING)

    assert rates == [{"learning_rate": "0.5"}]
    assert run.session.should_stop


def test_a_session_that_is_given_goes_on(bridge):
    """The run reports to it beside what the loop reports itself."""
    with TrainingSession(bridge, strict=True) as session:
        with wandb.init(session=session) as run:
            run.log({"loss": 0.5})
        session.log_batch(0.25, step=1)

    assert [batch.loss for batch in bridge.batches] == [0.5, 0.25]


def test_after_the_end(bridge, caplog):
    """What is logged is left out and counted; nothing raises."""
    run = wandb.init(address=bridge)
    run.log({"loss": 0.5})
    run.finish()
    run.finish()
    run.log({"loss": 0.5})
    assert run.session.stats.left_out == {"logs: after the end": 1}
