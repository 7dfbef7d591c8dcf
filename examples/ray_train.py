"""A Ray Train job whose workers report to a bridge as one run.

Start a bridge that the workers reach, then:  TRAINBRIDGE_ADDRESS=host:50051 python examples/ray_train.py
Needs, in a checkout of trainbridge: pip install '.[images,system,gpu]' torch 'ray[train]'
"""

from typing import Any

import ray.train
import ray.train.torch
import torch
from torch import nn

from bridge.client import TrainingSession


def train_worker(config: dict[str, Any]) -> None:
    """Train on one worker; Ray has formed the process group by now, so the SDK knows its rank."""
    context = ray.train.get_context()
    model = ray.train.torch.prepare_model(nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["learning_rate"])
    with TrainingSession(
        session_id=context.get_experiment_name(), model="linear", epochs=config["epochs"]
    ) as session:
        session.controls(optimizer=optimizer)
        for epoch in range(config["epochs"]):
            for batch in range(config["batches"]):
                inputs, labels = torch.rand(32, 16), torch.randint(0, 4, (32,))
                loss = nn.functional.cross_entropy(model(inputs), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                session.log_batch(loss.detach(), epoch=epoch, batch=batch)
                if session.agree_to_stop():  # on every worker, at the same step
                    return
            ray.train.report({"loss": float(loss.detach())})


def main() -> None:
    """Train on two workers."""
    trainer = ray.train.torch.TorchTrainer(
        train_worker,
        train_loop_config={"learning_rate": 0.1, "epochs": 3, "batches": 100},
        scaling_config=ray.train.ScalingConfig(num_workers=2),
        run_config=ray.train.RunConfig(name="trainbridge-example"),
    )
    print(trainer.fit().metrics)


if __name__ == "__main__":
    main()
