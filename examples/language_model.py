"""A small language model that reports to a bridge by steps: tokens, losses of both splits, phases and what it writes.

It reads Python's own language reference, which comes with Python, character by character.
Start a bridge with `trainbridge serve`, then:  python examples/language_model.py
Needs, in a checkout of trainbridge: pip install '.[system,gpu]' torch
"""

import argparse
import math
import pydoc_data.topics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bridge.client import TrainingSession


@dataclass(frozen=True)
class Options:
    """What to train, and how; the session reports it as its configuration."""

    steps: int = 1000
    batch_size: int = 32
    context: int = 64
    width: int = 64
    layers: int = 2
    heads: int = 4
    learning_rate: float = 3e-3
    warmup: int = 50
    validate_every: int = 100
    seed: int = 0


class Text:
    """The language reference as characters; its last tenth is held out."""

    def __init__(self) -> None:
        """Read it; nothing is downloaded."""
        topics = pydoc_data.topics.topics
        text = "\n".join(topics[name] for name in sorted(topics))
        self.characters = sorted(set(text))
        numbers = {character: number for number, character in enumerate(self.characters)}
        tokens = torch.tensor([numbers[character] for character in text])
        held_out = len(tokens) // 10
        self.training, self.validation = tokens[:-held_out], tokens[-held_out:]

    def decode(self, tokens: Tensor) -> str:
        """Return characters as text."""
        return "".join(self.characters[int(token)] for token in tokens)


class Transformer(nn.Module):
    """Characters (N, length) -> scores of the character that follows each (N, length, characters)."""

    def __init__(self, options: Options, characters: int) -> None:
        """Start with random weights."""
        super().__init__()
        self.context = options.context
        self.tokens = nn.Embedding(characters, options.width)
        self.positions = nn.Embedding(options.context, options.width)
        layer = nn.TransformerEncoderLayer(
            options.width,
            options.heads,
            4 * options.width,
            dropout=0.0,
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
        self.scores = nn.Linear(options.width, characters)

    def forward(self, tokens: Tensor) -> Tensor:
        """Score each character by those before it, and none after it."""
        length = tokens.shape[1]
        hidden = self.tokens(tokens) + self.positions(torch.arange(length))
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        return self.scores(self.layers(hidden, mask=mask, is_causal=True))

    def loss(self, tokens: Tensor) -> Tensor:
        """Return the mean cross-entropy of windows of text (N, length + 1)."""
        scores = self(tokens[:, :-1])
        return nn.functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())

    @torch.no_grad()
    def write(self, tokens: Tensor, length: int) -> Tensor:
        """Return characters (1, some) with `length` more."""
        for _ in range(length):
            probabilities = self(tokens[:, -self.context :])[:, -1].softmax(dim=1)
            tokens = torch.cat([tokens, torch.multinomial(probabilities, 1)], dim=1)
        return tokens


def windows(tokens: Tensor, options: Options) -> Tensor:
    """Return random windows of a text (batch size, context + 1)."""
    starts = torch.randint(len(tokens) - options.context, (options.batch_size, 1))
    return tokens[starts + torch.arange(options.context + 1)]


def learning_rate(step: int, options: Options) -> float:
    """Return the rate of a step: a linear warm-up, then a cosine decay."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def train(session: TrainingSession, text: Text, options: Options, checkpoint: Path) -> None:
    """Train for so many steps; the lines with `session` are all that reports to the bridge."""
    model = Transformer(options, len(text.characters))
    optimizer = torch.optim.AdamW(model.parameters())
    recent = []
    for step in range(options.steps):
        rate = optimizer.param_groups[0]["lr"] = learning_rate(step, options)
        batch = windows(text.training, options)
        loss = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        gradient_norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        session.log_batch(loss.detach(), step=step, tokens=batch[:, 1:].numel())
        session.log_scalars({"learning_rate": rate, "gradient_norm": gradient_norm}, step=step)
        recent.append(loss.detach())
        if (step + 1) % options.validate_every == 0:
            session.log_scalars({"loss": torch.stack(recent).mean()}, step=step, split="train")
            recent = []
            validate(session, model, text, options, step)
            with session.phase("checkpoint"):
                torch.save({"step": step + 1, "model": model.state_dict()}, checkpoint)
        session.wait_while_paused()
        if session.should_stop:
            return


@torch.no_grad()
def validate(
    session: TrainingSession, model: Transformer, text: Text, options: Options, step: int
) -> None:
    """Report the loss on what is held out, and some text that the model writes."""
    with session.phase("validation"):
        losses = [model.loss(windows(text.validation, options)) for _ in range(10)]
        loss = torch.stack(losses).mean()
        session.log_scalars({"loss": loss, "perplexity": loss.exp()}, step=step, split="validation")
        written = text.decode(model.write(text.validation[None, :16], 80)[0])
        session.event("sample", written)


def main() -> None:
    """Train, and report to a bridge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="else TRAINBRIDGE_ADDRESS, else 127.0.0.1:50051")
    for name, default in asdict(Options()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    arguments = vars(parser.parse_args())
    address = arguments.pop("address")
    options = Options(**arguments)
    torch.manual_seed(options.seed)
    text = Text()
    with (
        tempfile.TemporaryDirectory() as folder,
        TrainingSession(
            address,
            model="small-transformer",
            dataset="Python's language reference",
            steps=options.steps,
            batch_size=options.batch_size,
            config=asdict(options),
        ) as session,
    ):
        train(session, text, options, Path(folder) / "checkpoint.pt")
    stats = session.stats
    print(
        f"{session.session_id}: {stats.batches_acknowledged} of {stats.batches} batches acknowledged"
    )


if __name__ == "__main__":
    main()
