"""A loop over iterations instead of epochs, which evaluates now and then, with wandb."""

import math

import torch
import wandb
from torch import nn

# -----------------------------------------------------------------------------
eval_interval = 4
log_interval = 1
eval_iters = 2
wandb_log = True
wandb_project = "owt"
wandb_run_name = "gpt2"
batch_size = 4
block_size = 8
learning_rate = 1e-2
max_iters = 12
warmup_iters = 2
min_lr = 1e-3
grad_clip = 1.0
# -----------------------------------------------------------------------------
config_keys = [
    k
    for k, v in globals().items()
    if not k.startswith("_") and isinstance(v, int | float | bool | str)
]
config = {k: globals()[k] for k in config_keys}

torch.manual_seed(1337)
text = torch.randint(0, 16, (256,))
model = nn.Sequential(nn.Embedding(16, 8), nn.Linear(8, 16))
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)


def get_batch():
    """Return inputs and targets."""
    at = torch.randint(len(text) - block_size - 1, (batch_size,))
    x = torch.stack([text[i : i + block_size] for i in at])
    y = torch.stack([text[i + 1 : i + 1 + block_size] for i in at])
    return x, y


def compute_loss(x, y):
    """Return the loss of a batch."""
    return nn.functional.cross_entropy(model(x).view(-1, 16), y.view(-1))


@torch.no_grad()
def estimate_loss():
    """Return the losses of both splits."""
    return {
        split: torch.stack([compute_loss(*get_batch()) for _ in range(eval_iters)]).mean()
        for split in ("train", "val")
    }


def get_lr(it):
    """Return the learning rate: a warm-up, then a cosine."""
    if it < warmup_iters:
        return learning_rate * (it + 1) / (warmup_iters + 1)
    decay_ratio = (it - warmup_iters) / (max_iters - warmup_iters)
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * decay_ratio)) * (learning_rate - min_lr)


if wandb_log:
    wandb.init(project=wandb_project, name=wandb_run_name, config=config)

books = []
running_mfu = -1.0
for iter_num in range(max_iters + 1):
    lr = get_lr(iter_num)
    for param_group in optimizer.param_groups:
        param_group["lr"] = lr
    if iter_num % eval_interval == 0:
        losses = estimate_loss()
        books.append((iter_num, losses["train"].item(), losses["val"].item(), lr))
        if wandb_log:
            wandb.log(
                {
                    "iter": iter_num,
                    "train/loss": losses["train"],
                    "val/loss": losses["val"],
                    "lr": lr,
                    "mfu": running_mfu * 100,  # convert to percentage
                }
            )
    loss = compute_loss(*get_batch())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    running_mfu = 0.25 if running_mfu == -1.0 else 0.9 * running_mfu + 0.1 * 0.25
