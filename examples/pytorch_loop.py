"""A PyTorch training loop that reports to a bridge.

Start a bridge with `trainbridge serve`, then:  python examples/pytorch_loop.py
Needs, in a checkout of trainbridge: pip install '.[images,system,gpu]' torch scikit-learn
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bridge.client import TrainingSession

CHECKPOINT = "pytorch_loop.pt"
"""Where a command puts the model."""


def digits(batch_size: int) -> tuple[DataLoader, DataLoader]:
    """Return loaders of handwritten digits (N, 1, 8, 8) with values 0..1, for training and validation."""
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16
    data = TensorDataset(images, torch.tensor(bunch.target))
    training, validation = torch.utils.data.random_split(
        data, [0.8, 0.2], torch.Generator().manual_seed(0)
    )
    return (
        DataLoader(training, batch_size, shuffle=True, drop_last=True),
        DataLoader(validation, batch_size),
    )


def train(
    session: TrainingSession,
    model: nn.Module,
    loader: DataLoader,
    validation_loader: DataLoader,
    epochs: int,
) -> None:
    """Train; tensors are passed as they are, and log_batch copies what will be sent of them."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    session.controls(
        optimizer=optimizer,
        scheduler=scheduler,
        checkpoint=lambda: torch.save(model.state_dict(), CHECKPOINT),
    )
    for epoch in range(epochs):
        total = hits = seen = 0.0
        for _, (images, labels) in session.track(loader, epoch=epoch):
            logits = model(images)
            loss = nn.functional.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            session.log_batch(
                loss.detach(),
                images=images,
                predictions=logits.detach(),
                ground_truth=labels,
            )
            total += float(loss.detach()) * len(labels)
            hits += float((logits.argmax(dim=1) == labels).sum())
            seen += len(labels)
        if session.should_stop:
            return
        with session.phase("validation"):
            validation_loss, validation_accuracy = validate(model, validation_loader)
        session.log_epoch(
            epoch,
            loss=total / seen,
            accuracy=hits / seen,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
        )
        scheduler.step()


def validate(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Return loss and accuracy on held-out digits."""
    with torch.no_grad():
        results = [(model(images), labels) for images, labels in loader]
    logits = torch.cat([result[0] for result in results])
    labels = torch.cat([result[1] for result in results])
    loss = float(nn.functional.cross_entropy(logits, labels))
    return loss, float((logits.argmax(dim=1) == labels).float().mean())


def main() -> None:
    """Train, and report to a bridge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="else TRAINBRIDGE_ADDRESS, else 127.0.0.1:50051")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    loader, validation_loader = digits(batch_size=32)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 10)
    )
    with TrainingSession(
        arguments.address,
        model="small-cnn",
        dataset="digits",
        epochs=arguments.epochs,
        class_names=[str(digit) for digit in range(10)],
    ) as session:
        train(session, model, loader, validation_loader, arguments.epochs)
    stats = session.stats
    print(
        f"{session.session_id}: {stats.batches_acknowledged} of {stats.batches} batches acknowledged"
    )


if __name__ == "__main__":
    main()
