"""What to train a network with: hyperparameters for (model, dataset), and the accuracy they reached."""

import dataclasses

from scratchnet import optim, schedules

OPTIMIZERS = {"sgd": optim.SGD, "rmsprop": optim.RMSProp, "adam": optim.Adam, "adamw": optim.AdamW}
RECIPES_OWN = "recipe"              # --augment without more words
SCHEDULES = ("constant", "step", "cosine", "one-cycle")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The defaults are for a pair nobody has tuned. `reached` is the test accuracy that a recipe gave."""

    epochs: int = 30
    batch_size: int = 16                # a set of one's own is often small, and it takes some hundred steps to learn
    optimizer: str = "adam"
    lr: float = 0.002
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "one-cycle"
    warm_up: float = 0.0                # in epochs
    label_smoothing: float = 0.0
    augment: str = ""                   # what data.augment.parse reads
    validation_fraction: float = 1 / 12
    augmentation: str = "resized-crop,flip,color"       # `augment` where just --augment is said
    reached: str = ""

    def settings(self):
        """All that decides the result, as a dict for JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items()
                if name not in ("reached", "augmentation")}

    def make_optimizer(self, parameters):
        settings = {name: getattr(self, name) for name in TAKES[self.optimizer]}
        return OPTIMIZERS[self.optimizer](parameters, self.lr, **settings)

    def make_schedule(self, steps_per_epoch):
        steps = self.epochs * steps_per_epoch
        schedule = {
            "constant": lambda: schedules.constant(self.lr),
            "step": lambda: schedules.step(self.lr, every=-(-steps // 3)),      # divided by 10 twice
            "cosine": lambda: schedules.cosine(self.lr, steps),
            "one-cycle": lambda: schedules.one_cycle(self.lr, steps),
        }[self.schedule]()
        warm = round(self.warm_up * steps_per_epoch)
        return schedules.warm_up(schedule, warm) if warm else schedule


# Which settings an optimiser has, and its usual values where a recipe was made for another one.
TAKES = {"sgd": ("momentum", "nesterov", "weight_decay"), "rmsprop": ("momentum", "weight_decay"),
         "adam": ("weight_decay",), "adamw": ("weight_decay",)}
USUAL = {"sgd": {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
         "rmsprop": {"lr": 0.001, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
         "adam": {"lr": 0.001, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
         "adamw": {"lr": 0.001, "momentum": 0.0, "nesterov": False, "weight_decay": 0.01}}

# For LeNet-5 on handwritten digits.
DIGITS = {"epochs": 20, "batch_size": 64, "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True,
          "weight_decay": 5e-4, "schedule": "cosine", "augmentation": "affine"}
RECIPES = {
    ("lenet5", "mnist"): Recipe(**DIGITS, reached="99.18% on the 10,000 test images, with --augment 99.43% (seed 0)"),
    ("lenet5", "mnist-sample"): Recipe(**DIGITS, validation_fraction=1 / 10,
                                       reached="98.65% and 98.25% on its 2,000 (seeds 0 and 1)"),
}


# Deep networks without batch normalisation, whose gradients grow where a rate suits the others.
PLAIN = ("alexnet", "alexnet_owt", "vgg11", "vgg13", "vgg16", "vgg19", "googlenet")
PLAIN_LR = 1e-4
# For a network that starts from published weights: little is left to learn, and large steps would undo what is there.
FINE_TUNING = {"epochs": 10, "lr": 1e-4}
HEAD_ALONE = {"epochs": 10, "lr": 0.002}    # one dense layer: as robust as they come


def find(model, dataset, weights=None, frozen=False):
    """The recipe of the pair, or the one for pairs without; another one for a network that starts from weights, of which
    all but the head may be frozen."""
    usual = RECIPES.get((model, dataset)) or (Recipe(lr=PLAIN_LR) if model in PLAIN else Recipe())
    if weights:         # the same images for validation as ever: weights of that pair have not been trained on them
        return Recipe(**(HEAD_ALONE if frozen else FINE_TUNING), validation_fraction=usual.validation_fraction)
    return usual


def adapt(recipe, **wishes):
    """`recipe` with the user's wishes (None: no wish). ValueError for a setting the optimiser has not got."""
    wishes = {name: value for name, value in wishes.items() if value is not None}
    if "augment" in wishes:
        own = wishes["augment"] == RECIPES_OWN
        wishes["augment"] = recipe.augmentation if own else wishes["augment"].replace(" ", "")
    optimizer = wishes.get("optimizer", recipe.optimizer)
    for name in ("momentum", "nesterov", "weight_decay"):
        if name in wishes and name not in TAKES[optimizer]:
            raise ValueError(f"{optimizer} has no {name}; leave it out, or take another optimizer")
    if optimizer != recipe.optimizer:
        recipe = dataclasses.replace(recipe, **USUAL[optimizer])
    recipe = dataclasses.replace(recipe, **wishes)
    if recipe.momentum == 0 and recipe.nesterov:
        if wishes.get("nesterov"):
            raise ValueError("nesterov needs a momentum above 0; 0.9 is usual")
        recipe = dataclasses.replace(recipe, nesterov=False)
    return recipe
