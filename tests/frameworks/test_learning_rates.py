"""Learning rates of torch's optimizers change on command, and no scheduler of torch undoes it."""

import warnings

import pytest
import torch
from torch.optim import SGD, AdamW
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import SWALR

from bridge.client.command import RefusedCommandError
from bridge.client.learning_rates import LearningRates

STEPS = 30

KINDS = {
    "LambdaLR": lambda optimizer: schedulers.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
    "MultiplicativeLR": lambda optimizer: schedulers.MultiplicativeLR(optimizer, lambda _: 0.95),
    "StepLR": lambda optimizer: schedulers.StepLR(optimizer, 4),
    "MultiStepLR": lambda optimizer: schedulers.MultiStepLR(optimizer, [3, 12]),
    "ConstantLR": lambda optimizer: schedulers.ConstantLR(optimizer, 0.5, 12),
    "LinearLR": lambda optimizer: schedulers.LinearLR(optimizer, 0.1, 1.0, 20),
    "ExponentialLR": lambda optimizer: schedulers.ExponentialLR(optimizer, 0.9),
    "PolynomialLR": lambda optimizer: schedulers.PolynomialLR(optimizer, STEPS),
    "CosineAnnealingLR": lambda optimizer: schedulers.CosineAnnealingLR(optimizer, 40),
    "CosineAnnealingLR with restarts": lambda optimizer: schedulers.CosineAnnealingLR(optimizer, 7),
    "CosineAnnealingWarmRestarts": lambda optimizer: schedulers.CosineAnnealingWarmRestarts(
        optimizer, 7
    ),
    "OneCycleLR": lambda optimizer: schedulers.OneCycleLR(optimizer, 0.3, total_steps=40),
    "CyclicLR": lambda optimizer: schedulers.CyclicLR(optimizer, 0.01, 0.1, 5),
    "SWALR": lambda optimizer: SWALR(optimizer, swa_lr=0.05, anneal_epochs=20),
    "SequentialLR": lambda optimizer: schedulers.SequentialLR(
        optimizer,
        [
            schedulers.LinearLR(optimizer, 0.1, 1.0, 15),
            schedulers.CosineAnnealingLR(optimizer, 40),
        ],
        [15],
    ),
    "ChainedScheduler": lambda optimizer: schedulers.ChainedScheduler(
        [schedulers.LinearLR(optimizer, 0.1, 1.0, 5), schedulers.ExponentialLR(optimizer, 0.9)]
    ),
}


def made(kind="SGD", rates=(0.1,), **options):
    """Return an optimizer with a group for each rate."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return (
        SGD(groups, lr=0.1, momentum=0.9, **options) if kind == "SGD" else AdamW(groups, **options)
    )


def rates_of(optimizer):
    """Return the rates of all groups."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def stepped(optimizer, scheduler):
    """Return the rates after another step of both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.step()
        scheduler.step()
    return rates_of(optimizer)


@pytest.mark.parametrize("at", [1, 10, 22])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scheduler_goes_on_from_the_new_rate(kind, at):
    """It follows the same curve as without the command, only higher: here three times."""
    plain, changed = made(rates=(0.1, 0.02)), made(rates=(0.1, 0.02))
    plain_scheduler, scheduler = KINDS[kind](plain), KINDS[kind](changed)
    for step in range(STEPS):
        if step == at:
            rate = 3 * rates_of(changed)[0]
            LearningRates([changed], [scheduler]).change(rate)
            assert rates_of(changed)[0] == pytest.approx(rate)
            assert [float(each) for each in scheduler.get_last_lr()] == rates_of(changed)
        expected = stepped(plain, plain_scheduler)
        factor = 3 if step >= at else 1
        assert stepped(changed, scheduler) == pytest.approx([factor * each for each in expected])


def test_a_plateau_lowers_the_new_rate():
    """It has no curve, and multiplies what it finds."""
    optimizer = made()
    scheduler = schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    scheduler.step(1.0)
    LearningRates([optimizer], [scheduler]).change(0.4)
    scheduler.step(1.0)

    assert rates_of(optimizer) == pytest.approx([0.2])


def test_groups_keep_their_ratios_to_the_first():
    """A frozen one stays frozen; what was done is said."""
    optimizer = made(rates=(0.1, 0.01, 0.0))

    said = LearningRates([optimizer], []).change(0.5)

    assert rates_of(optimizer) == pytest.approx([0.5, 0.05, 0.0])
    assert said == "was 0.1; the 3 parameter groups keep their ratios to the first: 0.5, 0.05, 0"


def test_several_optimizers_change_together():
    """As those of a generator and a discriminator."""
    first, second = made(rates=(0.1,)), made("AdamW", rates=(0.02,))

    LearningRates([first, second], []).change(0.2)

    assert rates_of(first) + rates_of(second) == pytest.approx([0.2, 0.04])


def test_a_tensor_stays_the_same_tensor():
    """A captured graph reads it where it lies."""
    rate = torch.tensor(0.1)
    optimizer = made("AdamW", rates=(rate,), capturable=True)
    held = optimizer.param_groups[0]["lr"]
    scheduler = schedulers.LambdaLR(optimizer, lambda step: 0.5**step)
    rates = LearningRates([optimizer], [scheduler])

    rates.change(0.4)
    assert optimizer.param_groups[0]["lr"] is held
    assert float(held) == pytest.approx(0.4)
    assert stepped(optimizer, scheduler) == pytest.approx([0.2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_can_be_taken_back(kind):
    """Another rank may have refused it: the curve goes on as if nothing had been."""
    plain, changed = made(rates=(0.1, 0.02)), made(rates=(0.1, 0.02))
    plain_scheduler, scheduler = KINDS[kind](plain), KINDS[kind](changed)
    for step in range(STEPS):
        if step == 5:
            rates = LearningRates([changed], [scheduler])
            rates.change(0.7)
            rates.undo()
        assert stepped(changed, scheduler) == stepped(plain, plain_scheduler)


class OwnWarmup(schedulers.LRScheduler):
    """One that a program has written itself, with the rates it began with."""

    def get_lr(self):
        return [base * min(1.0, (self.last_epoch + 1) / 10) for base in self.base_lrs]


class Stubborn(schedulers.LRScheduler):
    """One that looks at nothing but the number of the step."""

    def get_lr(self):
        return [0.1 * 0.9**self.last_epoch for _ in self.optimizer.param_groups]


def test_a_scheduler_of_ones_own_goes_on_too():
    """As long as it computes from its base_lrs, or from the rate of the group."""
    optimizer = made()
    scheduler = OwnWarmup(optimizer)
    stepped(optimizer, scheduler)
    before = scheduler.last_epoch

    LearningRates([optimizer], [scheduler]).change(0.2)

    assert scheduler.last_epoch == before
    assert stepped(optimizer, scheduler) == pytest.approx([0.3])


def test_a_change_that_would_be_undone_is_refused():
    """Instead of an answer that is true for one step; nothing has changed."""
    optimizer = made()
    scheduler = Stubborn(optimizer)

    with pytest.raises(RefusedCommandError, match="the scheduler Stubborn would undo it"):
        LearningRates([optimizer], [scheduler]).change(0.5)

    assert rates_of(optimizer) == pytest.approx([0.1])


def test_a_scheduler_that_was_not_handed_over_is_asked_for():
    """It has left its traces in the groups."""
    optimizer = made()
    _scheduler = KINDS["OneCycleLR"](optimizer)
    before = rates_of(optimizer)

    with pytest.raises(RefusedCommandError, match="give it to session"):
        LearningRates([optimizer], []).change(0.5)

    assert rates_of(optimizer) == before


def test_a_warm_up_that_is_still_at_zero_refuses():
    """Nothing times any factor is the new rate."""
    optimizer = made()
    scheduler = schedulers.LambdaLR(optimizer, lambda step: step / 10)
    rates = LearningRates([optimizer], [scheduler])

    with pytest.raises(RefusedCommandError, match="send the command again"):
        rates.change(0.5)
    stepped(optimizer, scheduler)

    assert rates.change(0.5) == "0.5, was 0.01"


def test_a_scheduler_alone_is_enough():
    """It knows its optimizer; a wrapper of another library is looked into."""
    optimizer = made()
    scheduler = KINDS["StepLR"](optimizer)

    class Wrapper:
        def __init__(self, inner):
            self.scheduler = inner

    LearningRates([], [Wrapper(scheduler)]).change(0.5)

    assert rates_of(optimizer) == [0.5]
    assert scheduler.base_lrs == [0.5]
