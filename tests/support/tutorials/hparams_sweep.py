"""Tries some settings, one run for each."""

from itertools import product

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

parameters = {"lr": [0.1, 0.01], "batch_size": [8, 16]}
results = []
for lr, batch_size in product(*parameters.values()):
    torch.manual_seed(0)
    model, criterion = nn.Linear(4, 1), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    x = torch.rand(64, 4)
    y = x.sum(1, keepdim=True)
    losses = []
    with SummaryWriter(comment=f"_lr={lr}_bs={batch_size}") as tb:
        for step, (inputs, targets) in enumerate(
            zip(x.split(batch_size), y.split(batch_size), strict=True)
        ):
            loss = criterion(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tb.add_scalar("Loss", loss, step)
            losses.append(loss.item())
        tb.add_hparams(
            {"lr": lr, "bsize": batch_size},
            {"hparam/final_loss": losses[-1]},
        )
    results.append((lr, batch_size, losses))
