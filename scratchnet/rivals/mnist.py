"""LeNet-5 on MNIST as users of scratchnet and of eager PyTorch train it, with images on the host: what `bench` times in
its modes epoch and accuracy."""

import dataclasses
import time

import numpy as np

import scratchnet as sn
from scratchnet import data
from scratchnet.data import Batches, Preprocessing

IMAGES = 60_000
SAMPLE = ""                                       # in the place of a folder
LR, MOMENTUM, DECAY = 0.05, 0.9, 5e-4             # of the recipe
GOAL, EPOCHS = 0.99, 6                            # the learning rate falls to 0 as a cosine over so many epochs
AT_ONCE = 1000                                    # test images


def splits(folder):
    """MNIST of the folder, None being $SCRATCHNET_DATA; of SAMPLE the package's digits, repeated to 60,000."""
    if folder != SAMPLE:
        return data.load("mnist", folder)
    found = data.load("mnist-sample")
    repeated = (np.resize(array, (IMAGES, *array.shape[1:])) for array in (found.train.images, found.train.labels))
    return dataclasses.replace(found, train=data.Arrays(*repeated))


class Ours:
    """sn.fit."""

    def __init__(self, workload, folder, seed=0):
        from scratchnet.kernels.cpu import threads
        threads.set_threads(workload.threads)
        self.precision, found = workload.precision, splits(folder)
        self.model = sn.to_device(sn.models.create("lenet5", seed=seed), workload.device)
        before = Preprocessing.for_input(found, self.model.input_shape)
        self.train = Batches(found.train.images, found.train.labels, workload.batch, seed, preprocessing=before)
        self.test = Batches(found.test.images, found.test.labels, AT_ONCE, shuffle=False, preprocessing=before)
        self.optimizer = sn.SGD(self.model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)

    def fit(self, validation=None, **settings):
        with sn.use_precision(self.precision):
            sn.fit(self.model, self.train, validation, optimizer=self.optimizer, progress=False, **settings)
        sn.synchronize()

    def turn(self):
        """Seconds of the second of two epochs: on a GPU the first ones of its steps are recorded, to be replayed."""
        ends = []
        self.fit(epochs=2, after_epoch=lambda position: ends.append(time.perf_counter()))
        return ends[1] - ends[0]

    def reach(self):
        """The share of the test images that is right after the first epoch where it is GOAL, or after the last."""
        found = []

        def after_epoch(position):
            found.append(position.history[-1]["validation_accuracy"])
            if found[-1] >= GOAL:
                raise Reached
        try:
            self.fit(self.test, epochs=EPOCHS, schedule=sn.schedules.cosine(LR, EPOCHS * len(self.train)),
                     after_epoch=after_epoch)
        except Reached:
            pass
        return found[-1]


class Reached(Exception):
    """The goal is."""


class Torch:
    """A loop: images are bytes on the host, a batch is made floats on the device."""

    def __init__(self, workload, folder, seed=0):
        import torch
        from torch import nn

        from scratchnet.rivals import torch_engine
        torch.set_num_threads(workload.threads)
        torch.manual_seed(seed)
        torch_engine.set_precision(workload.precision)
        self.torch, self.workload, self.device, found = torch, workload, torch_engine.place(workload), splits(folder)
        self.casting = torch_engine.casting
        before = Preprocessing.for_input(found, (32, 32, 1))
        self.mean, self.std = 255 * before.mean[0], 255 * before.std[0]
        (top, bottom), (left, right) = before.padding
        self.train, self.test = (
            (nn.functional.pad(torch.tensor(part.images[..., 0]), (left, right, top, bottom))[:, None],
             torch.tensor(part.labels).long()) for part in (found.train, found.test))
        self.model = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)).to(self.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True,
                                         weight_decay=DECAY, fused=True)

    def epoch(self, schedule=None):
        images, labels = self.train
        for chosen in self.torch.randperm(len(labels)).split(self.workload.batch):
            x, y = self.floats(images[chosen]), labels[chosen].to(self.device)
            self.optimizer.zero_grad()
            with self.casting(x, self.workload.precision):
                loss = self.torch.nn.functional.cross_entropy(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            if schedule:
                schedule.step()
        loss.item()                                      # waits for the device

    def floats(self, images):
        return (images.to(self.device).float() - self.mean) / self.std

    def turn(self):
        """Seconds of an epoch."""
        started = time.perf_counter()
        self.epoch()
        return time.perf_counter() - started

    def reach(self):
        """As Ours.reach."""
        steps = EPOCHS * -(-len(self.train[1]) // self.workload.batch)
        schedule = self.torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        for _ in range(EPOCHS):
            self.epoch(schedule)
            reached = self.accuracy()
            if reached >= GOAL:
                break
        return reached

    def accuracy(self):
        with self.torch.inference_mode():
            right = sum(int((self.model(self.floats(x)).argmax(1).cpu() == y).sum()) for x, y in
                        zip(*(tensor.split(AT_ONCE) for tensor in self.test)))
        return right / len(self.test[1])
