"""Fine-tunes the last layer of a network by phases, with a writer for each of them."""

import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

torch.manual_seed(0)
inputs, labels = torch.rand(64, 3, 8, 8), torch.randint(0, 2, (64,))
dataloaders = {
    "train": list(zip(inputs[:48].split(16), labels[:48].split(16), strict=True)),
    "val": list(zip(inputs[48:].split(16), labels[48:].split(16), strict=True)),
}
backbone = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU()).requires_grad_(False)
head = nn.Linear(16, 2)
model = nn.Sequential(backbone, head)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)

log_dir = Path("runs") / "ants_bees" / time.strftime("%Y%m%d-%H%M%S")
writers = {phase: SummaryWriter(log_dir / phase) for phase in ("train", "val")}

history = {"train": [], "val": []}
best_acc = 0.0
for epoch in range(3):
    for phase in ("train", "val"):
        model.train(phase == "train")
        running_loss, running_corrects = 0.0, 0
        for x, y in dataloaders[phase]:
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                outputs = model(x)
                loss = criterion(outputs, y)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            running_loss += loss.item() * x.size(0)
            running_corrects += torch.sum(outputs.argmax(1) == y)
        size = sum(len(y) for _, y in dataloaders[phase])
        epoch_loss = running_loss / size
        epoch_acc = running_corrects.double() / size
        writers[phase].add_scalar("loss", epoch_loss, epoch)
        writers[phase].add_scalar("accuracy", epoch_acc, epoch)
        history[phase].append((epoch_loss, epoch_acc.item()))
        best_acc = max(best_acc, epoch_acc.item()) if phase == "val" else best_acc
writers["val"].add_text("result", f"best accuracy {best_acc:.3f}")
for writer in writers.values():
    writer.close()
