"""Whole networks against the same networks built in PyTorch with the same weights.

Logits, loss, the gradients of images and parameters, and 20 steps of training. The second network, a small
residual one, adds what LeNet-5 leaves out: batch norm, branches, groups, max pooling, ReLU.
"""

import collections

import numpy as np
import pytest

import scratchnet as sn

torch = pytest.importorskip("torch")
nn = torch.nn
torch.set_num_threads(2)
STEPS, BATCH = 20, 8
SLACK = 4          # times one layer's rounding, as layers and steps hand theirs on; at most 79 units measured


def lenet5():
    return sn.models.create("lenet5", seed=0)


def torch_lenet5():
    return nn.Sequential(collections.OrderedDict(
        conv1=nn.Conv2d(1, 6, 5), tanh1=nn.Tanh(), pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5), tanh2=nn.Tanh(), pool2=nn.AvgPool2d(2), flatten=nn.Flatten(),
        fc1=nn.Linear(400, 120), tanh3=nn.Tanh(), fc2=nn.Linear(120, 84), tanh4=nn.Tanh(),
        fc3=nn.Linear(84, 10)))


def small_resnet():
    main = sn.Sequential(
        conv1=sn.Conv2D(6, 3, padding=1, use_bias=False), bn1=sn.BatchNorm(activation="relu"),
        conv2=sn.Conv2D(6, 3, padding=1, groups=2, use_bias=False), bn2=sn.BatchNorm())
    model = sn.Sequential(
        stem=sn.Conv2D(6, 3, strides=2, padding=1, use_bias=False), bn=sn.BatchNorm(activation="relu"),
        pool=sn.MaxPool2D(3, 2, 1), block=sn.Residual(main, activation="relu"),
        branches=sn.Concat(left=sn.Conv2D(4, 1, activation="relu"), right=sn.Conv2D(4, 3, padding=1)),
        mean=sn.GlobalAvgPool2D(), fc=sn.Dense(5))
    model.init(0, (16, 16, 3))
    return model


class TorchResidual(nn.Module):
    def __init__(self, main):
        super().__init__()
        self.main = main

    def forward(self, x):
        return torch.relu(x + self.main(x))


class TorchBranches(nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return torch.cat([torch.relu(self.left(x)), self.right(x)], 1)


def torch_small_resnet():
    main = nn.Sequential(collections.OrderedDict(
        conv1=nn.Conv2d(6, 6, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(6), relu=nn.ReLU(),
        conv2=nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False), bn2=nn.BatchNorm2d(6)))
    return nn.Sequential(collections.OrderedDict(
        stem=nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), bn=nn.BatchNorm2d(6), relu=nn.ReLU(),
        pool=nn.MaxPool2d(3, 2, 1), block=TorchResidual(main),
        branches=TorchBranches(nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 3, padding=1)),
        mean=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(8, 5)))


MODELS = pytest.mark.parametrize("build, torch_build, shape, classes", [
    pytest.param(lenet5, torch_lenet5, (32, 32, 1), 10, id="lenet5"),
    pytest.param(small_resnet, torch_small_resnet, (16, 16, 3), 5, id="small-resnet")])


def to_torch_layout(name, a):
    """A parameter or gradient as PyTorch stores it. LeNet-5's fc1 reads an image that was flattened."""
    if a.ndim == 4:
        return a.transpose(3, 2, 0, 1)                   # (KH, KW, C/groups, F) -> (F, C/groups, KH, KW)
    if name == "fc1.weight":                             # (H*W*C, units) -> (units, C*H*W)
        return a.reshape(5, 5, 16, 120).transpose(3, 2, 0, 1).reshape(120, 400)
    return a.T                                           # (IN, OUT) -> (OUT, IN); a vector stays as it is


def pair(build, torch_build, dtype):
    """Our network, and PyTorch's with its weights."""
    ours = build().astype(dtype)
    theirs = torch_build().to(torch.float64)
    weights = {name: torch.tensor(to_torch_layout(name, a), dtype=torch.float64)
               for name, a in ours.state_dict().items()}
    names = theirs.load_state_dict(weights, strict=False)
    assert not names.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in names.missing_keys)
    return ours, theirs


def batch(rng, shape, classes, dtype):
    return rng.standard_normal((BATCH, *shape)).astype(dtype), rng.integers(0, classes, BATCH)


def as_torch(images, labels):
    return torch.tensor(images, dtype=torch.float64).permute(0, 3, 1, 2), torch.tensor(labels)


@MODELS
def test_a_network_and_all_its_gradients_are_pytorchs(engine, build, torch_build, shape, classes):
    ours, theirs = pair(build, torch_build, engine.dtype)
    images, labels = batch(np.random.default_rng(0), shape, classes, engine.dtype)
    their_images, their_labels = as_torch(images, labels)
    their_images.requires_grad_()

    logits, backward = ours.forward(images)
    loss, dlogits = sn.softmax_cross_entropy(logits, labels)
    dimages = backward(dlogits)
    their_logits = theirs(their_images)
    their_loss = nn.functional.cross_entropy(their_logits, their_labels)
    their_loss.backward()

    engine.agree("logits", logits, their_logits, SLACK)
    engine.agree("loss", loss, their_loss, SLACK)
    engine.agree("the gradient of the images", dimages.transpose(0, 3, 1, 2), their_images.grad, SLACK)
    assert set(ours.parameters()) == {name for name, _ in theirs.named_parameters()}
    for name, parameter in theirs.named_parameters():
        gradient = to_torch_layout(name, ours.parameters()[name].grad)
        engine.agree(f"the gradient of {name}", gradient, parameter.grad, SLACK)
    engine.agree("inference", ours(images), theirs.eval()(their_images), SLACK)


@MODELS
def test_twenty_steps_of_training_take_pytorchs_way(engine, build, torch_build, shape, classes):
    ours, theirs = pair(build, torch_build, engine.dtype)
    rng = np.random.default_rng(0)
    settings = dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    optimizer = sn.SGD(ours.parameters(), **settings)
    their_optimizer = torch.optim.SGD(theirs.parameters(), **settings)
    batches = [batch(rng, shape, classes, engine.dtype) for _ in range(3)]
    losses = []
    for step in range(STEPS):
        images, labels = batches[step % 3]
        loss, _, backward = ours.loss(images, labels)
        backward()
        optimizer.step()
        their_images, their_labels = as_torch(images, labels)
        their_optimizer.zero_grad()
        their_loss = nn.functional.cross_entropy(theirs(their_images), their_labels)
        their_loss.backward()
        their_optimizer.step()
        engine.agree(f"loss of step {step + 1}", loss, their_loss, SLACK)
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2               # it has learnt from its three batches: the way was long
    state = ours.state_dict()
    for name, expected in theirs.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            engine.agree(f"{name} after {STEPS} steps", to_torch_layout(name, state[name]), expected, SLACK)


def test_lenet5_has_the_papers_number_of_parameters_here_and_there():
    assert sum(p.value.size for p in lenet5().parameters().values()) == 61_706
    assert sum(p.numel() for p in torch_lenet5().parameters()) == 61_706
