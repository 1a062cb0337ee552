"""Every optimiser, with every setting, against PyTorch's: parameters after each of 20 steps, and its state.

The gradients are drawn, the same for both sides, not computed from the parameters: an error neither grows nor
heals on the way. (test_torch_models.py closes that loop.)
"""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.layers import Parameter

torch = pytest.importorskip("torch")
torch.set_num_threads(2)
STEPS = 20
SLACK = 4          # times one layer's rounding: steps add theirs, weights shrink; at most 51 units measured
# "bias" starts at zero, so that no small step hides behind a large value; "rare" has a gradient at every
# third step only, and is left alone in between.
SHAPES = {"weight": (3, 4), "bias": (5,), "kernel": (2, 3, 2, 4), "rare": (6,)}
SIZES = {"weight": 1.0, "bias": 100.0, "kernel": 0.01, "rare": 1.0}
# Our slot: PyTorch's name for it.
STATE = {"SGD": {"velocity": "momentum_buffer"},
         "RMSProp": {"square": "square_avg", "velocity": "momentum_buffer", "mean": "grad_avg"},
         "Adam": {"m": "exp_avg", "v": "exp_avg_sq"}, "AdamW": {"m": "exp_avg", "v": "exp_avg_sq"}}
ROWS = []


def row(ours, **settings):
    name = "-".join([ours, *(f"{setting}={value}" for setting, value in settings.items())])
    ROWS.append(pytest.param(ours, settings, id=name))


row("SGD", lr=0.1)
row("SGD", lr=0.1, weight_decay=0.3)
row("SGD", lr=0.1, momentum=0.9)
row("SGD", lr=0.1, momentum=0.9, weight_decay=0.3)
row("SGD", lr=0.1, momentum=0.8, nesterov=True)
row("SGD", lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.3)
row("RMSProp", lr=0.01, rho=0.9, epsilon=1e-8)
row("RMSProp", lr=0.01, rho=0.6, epsilon=0.1)
row("RMSProp", lr=0.01, rho=0.6, epsilon=0.1, weight_decay=0.3)
row("RMSProp", lr=0.01, rho=0.6, epsilon=0.1, momentum=0.9)
row("RMSProp", lr=0.01, rho=0.6, epsilon=0.1, centered=True)
row("RMSProp", lr=0.01, rho=0.6, epsilon=0.1, momentum=0.9, centered=True, weight_decay=0.3)
for name in ("Adam", "AdamW"):
    row(name, lr=0.01, weight_decay=0.0)
    row(name, lr=0.01, beta1=0.5, beta2=0.7, epsilon=0.1, weight_decay=0.0)
    row(name, lr=0.01, beta1=0.0, beta2=0.9, epsilon=1e-4, weight_decay=0.0)
    row(name, lr=0.01, weight_decay=0.3)
    row(name, lr=0.01, beta1=0.5, beta2=0.7, epsilon=0.1, weight_decay=0.3)


def pytorchs(name, settings, parameters):
    """PyTorch's optimiser with our settings, under its names for them."""
    settings = dict(settings)
    for ours, theirs in (("rho", "alpha"), ("epsilon", "eps")):
        if ours in settings:
            settings[theirs] = settings.pop(ours)
    if "beta1" in settings:
        settings["betas"] = settings.pop("beta1"), settings.pop("beta2")
    return getattr(torch.optim, {"RMSProp": "RMSprop"}.get(name, name))(parameters, **settings)


@pytest.mark.parametrize("name, settings", ROWS)
def test_an_optimiser_walks_pytorchs_way(engine, name, settings):
    rng = np.random.default_rng(0)
    values = {key: (rng.standard_normal(shape) * (key != "bias")).astype(engine.dtype)
              for key, shape in SHAPES.items()}
    ours = {key: Parameter(value.copy()) for key, value in values.items()}
    theirs = {key: torch.tensor(value, dtype=torch.float64).requires_grad_() for key, value in values.items()}
    optimizer = getattr(sn, name)(ours, **settings)
    their_optimizer = pytorchs(name, settings, theirs.values())
    for step in range(STEPS):
        if step == STEPS // 2:                                        # a schedule changes the rate on the way
            optimizer.lr = their_optimizer.param_groups[0]["lr"] = settings["lr"] / 3
        their_optimizer.zero_grad()
        for key, shape in SHAPES.items():
            if key != "rare" or step % 3 == 0:
                gradient = (SIZES[key] * rng.standard_normal(shape)).astype(engine.dtype)
                ours[key].add_grad(gradient)
                theirs[key].grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        their_optimizer.step()
        for key in SHAPES:
            engine.agree(f"step {step + 1}, {key}", ours[key].value, theirs[key], SLACK)
    for slot, arrays in optimizer.slots.items():
        for key, array in arrays.items():
            state = their_optimizer.state[theirs[key]][STATE[name][slot]]
            engine.agree(f"{slot} of {key}", array, state, SLACK)
