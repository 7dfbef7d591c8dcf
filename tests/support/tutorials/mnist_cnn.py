"""A small network learns to tell digits apart, as in many a first tutorial, with a SummaryWriter."""

import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody does
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter


class Net(nn.Module):
    """Two layers."""

    def __init__(self):
        """Build them."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 2)
        self.fc1 = nn.Linear(4 * 13 * 13, 10)

    def forward(self, x):
        """Return logits."""
        return self.fc1(F.relu(self.conv1(x)).flatten(1))


torch.manual_seed(1)
images = torch.rand(96, 1, 28, 28)
targets = torch.arange(96) % 10
train_loader = DataLoader(TensorDataset(images, targets), batch_size=16, shuffle=True)
test_loader = DataLoader(TensorDataset(images[:32], targets[:32]), batch_size=32)

device = torch.device("cpu")
model = Net().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
writer = SummaryWriter("runs/mnist_experiment_1")

first, _ = next(iter(train_loader))
writer.add_images("mnist_images", first, 0)
writer.add_graph(model, first)

train_losses, test_losses, accuracies, rates = [], [], [], []
global_step = 0
for _epoch in range(2):
    model.train()
    for data, target in train_loader:
        optimizer.zero_grad()
        output = model(data.to(device))
        loss = F.cross_entropy(output, target.to(device))
        loss.backward()
        optimizer.step()
        writer.add_scalar("Loss/train", loss.item(), global_step)
        train_losses.append(loss.item())
        global_step += 1
    model.eval()
    test_loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in test_loader:
            output = model(data)
            test_loss += F.cross_entropy(output, target, reduction="sum").item()
            correct += (output.argmax(dim=1) == target).sum().item()
    test_losses.append(test_loss / 32)
    accuracies.append(correct / 32)
    rates.append(scheduler.get_last_lr()[0])
    writer.add_scalar("Loss/test", test_losses[-1], global_step)
    writer.add_scalar("Accuracy/test", accuracies[-1], global_step)
    writer.add_scalar("Learning rate", rates[-1], global_step)
    writer.add_histogram("fc1/weight", model.fc1.weight, global_step)
    scheduler.step()
writer.flush()
writer.close()
