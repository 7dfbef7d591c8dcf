"""Classifies pictures by epochs, with wandb's pictures, summary, alert and a block around the run."""

import argparse

import numpy as np
import torch
import wandb
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--lr", type=float, default=0.5)
args = parser.parse_args([])

torch.manual_seed(0)
x, y = torch.rand(40, 3, 8, 8), torch.randint(0, 2, (40,))
model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
criterion = nn.CrossEntropyLoss()

books = []
with wandb.init(project="pets", job_type="train", tags=["baseline"]) as run:
    wandb.config.update(args)
    wandb.watch(model, log="all")
    config = wandb.config
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr)
    best = 0.0
    for epoch in range(config.epochs):
        for images, labels in zip(x.split(8), y.split(8), strict=True):
            logits = model(images)
            loss = criterion(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            books.append(loss.item())
            wandb.log({"epoch": epoch, "train_loss": loss})
        accuracy = (model(x).argmax(1) == y).float().mean().item()
        best = max(best, accuracy)
        samples = [
            wandb.Image(np.transpose(image.numpy(), (1, 2, 0)), caption=f"truth: {label}")
            for image, label in zip(x[:4], y[:4], strict=True)
        ]
        wandb.log({"val_accuracy": accuracy, "examples": samples})
    if best < 2:
        wandb.alert(title="Low accuracy", text=f"{best} is below 2", level=wandb.AlertLevel.WARN)
    run.summary["best_accuracy"] = best
