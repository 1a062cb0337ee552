"""Optimisers, from simple to involved. Each walks the parameters once, uses their gradients and clears them.

The updates are kernels, in place: textbook kernels/reference/optim.py, fast kernels/cpu/optim.py. Parameters without
a gradient (frozen, or not reached) are left alone, weight decay included. State is kept by parameter name.
"""

import numpy as np

from scratchnet.backend import array_like, array_module, each_time, lasting, ops, runs_on_cuda, to_host, varying


class _Optimizer:
    """parameters: {name: Parameter}, as model.parameters() gives them. `lr` may be assigned before every step.

    A final optimiser names its SLOTS, state arrays of a parameter's shape, and writes update(lr, step, names, values,
    gradients), for all parameters at once that have been updated as often and lie on one device. On a GPU step is None and
    lr a Clock: the device counts there, and a step whose gradients are not all finite changes nothing. In a recording on the
    CPU both are `varying`: kernels read them when they run.
    """

    FRACTIONS = ("momentum", "rho", "beta1", "beta2")     # settings that must stay below 1

    def __init__(self, parameters, lr, **settings):
        if not hasattr(parameters, "items") or not all(hasattr(p, "add_grad") for p in parameters.values()):
            raise TypeError(f"{type(self).__name__}: expected model.parameters(), a dict of name: Parameter, "
                            f"got {type(parameters).__name__}")
        for name, value in {"lr": lr, **settings}.items():
            if not isinstance(value, bool) and not 0 <= value < (1 if name in self.FRACTIONS else np.inf):
                top = "1 (exclusive)" if name in self.FRACTIONS else "infinity"
                raise ValueError(f"{type(self).__name__}: {name} must lie between 0 and {top}, got {value!r}")
        self.parameters = dict(parameters)
        self.lr = lr
        self.settings = settings
        self.slots = {}                          # {slot: {parameter name: array}}
        self._counts = {}                        # what `steps` is, without the clock's
        self.clock, self._clocked = None, []     # on a GPU, and the parameters that it counts for

    def step(self):
        """Update every parameter that has a gradient, then clear the gradients."""
        together = {}
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                on_cuda = runs_on_cuda(parameter.value)
                count = None if on_cuda else self._steps_on_the_host(name)
                together.setdefault((ops(parameter.value), count), []).append(name)
        for (_, count), names in together.items():
            parameters = [self.parameters[name] for name in names]
            lr, step = (self._on_the_clock(names), None) if count is None else self._counted(names)
            self.update(lr, step, names, [p.value for p in parameters], [p.grad for p in parameters])
            for parameter in parameters:
                parameter.clear_grad()
            each_time(lambda changed=parameters: _count_change(changed))

    @property
    def steps(self):
        """{parameter name: how many times it was updated}. Reads the device."""
        if self.clock is None:
            return self._counts
        return self._counts | dict(zip(self._clocked, to_host(self.clock.steps).tolist()))

    @property
    def skipped(self):
        """On a GPU an int32 array (1,) there: not 0 where the last step has changed nothing. Else None."""
        return None if self.clock is None else self.clock.skipped

    def _steps_on_the_host(self, name):
        if name in self._clocked:                # it has come back from the device
            self._stop_the_clock()
        return self._counts.get(name, 0)

    def _counted(self, names):
        """lr and step of parameters that have been updated equally often, one more time from now on."""
        each_time(lambda: self._counts.update({name: self._counts.get(name, 0) + 1 for name in names}))
        return varying(lambda: float(self.lr)), varying(lambda: self._counts[names[0]])

    def _on_the_clock(self, names):
        if names != self._clocked:
            self._stop_the_clock()
            from scratchnet.kernels.cuda.optim import Clock
            self.clock, self._clocked = lasting(Clock([self._counts.get(name, 0) for name in names])), names
        self.clock.lr = varying(lambda: float(self.lr))
        return self.clock

    def _stop_the_clock(self):
        self._counts, self.clock, self._clocked = self.steps, None, []

    def slot(self, slot, names, values):
        """The state arrays `slot` of the parameters: zeros at first, always on the device of their values."""
        arrays = self.slots.setdefault(slot, {})
        for name, value in zip(names, values):
            if name not in arrays:
                arrays[name] = lasting(array_module(value).zeros_like(value))
            elif type(arrays[name]) is not type(value) or arrays[name].dtype != value.dtype:
                arrays[name] = array_like(value, to_host(arrays[name]))
        return [arrays[name] for name in names]

    def config(self):
        """The settings as a dict that JSON can hold."""
        return {"name": type(self).__name__.lower(), "lr": float(self.lr), **self.settings}

    def state_dict(self):
        """{"slot/parameter": array, "steps/parameter": count}, NumPy copies."""
        state = {f"{slot}/{name}": to_host(array, copy=True) for slot, arrays in self.slots.items()
                 for name, array in arrays.items()}
        return state | {f"steps/{name}": np.int64(count) for name, count in self.steps.items()}

    def load_state_dict(self, state):
        """Take over what state_dict gave. ValueError lists what does not fit, and nothing changes."""
        slots, steps, problems = {}, {}, []
        for key, array in state.items():
            slot, _, name = key.partition("/")
            if name not in self.parameters or slot not in (*self.SLOTS, "steps"):
                problems.append(f"unexpected: {key} {np.shape(array)}")
            elif slot == "steps":
                steps[name] = int(array)
            elif np.shape(array) != self.parameters[name].value.shape:
                problems.append(f"{key}: expected {self.parameters[name].value.shape}, got {np.shape(array)}")
            else:
                value = self.parameters[name].value
                slots.setdefault(slot, {})[name] = array_module(value).array(array, dtype=value.dtype)
        if problems:
            raise ValueError(f"{type(self).__name__}: this state belongs to another optimiser or model:\n  "
                             + "\n  ".join(problems))
        self.slots, self._counts, self.clock, self._clocked = slots, steps, None, []


def _count_change(parameters):
    for parameter in parameters:
        parameter.version += 1


class SGD(_Optimizer):
    """g ← g + λw;  v ← μv + g;  w ← w - lr v, or with nesterov w ← w - lr (g + μv).

    Robbins & Monro 1951; momentum: Polyak 1964; Nesterov's: Sutskever et al. 2013, section 2.
    """

    SLOTS = ("velocity",)

    def __init__(self, parameters, lr=0.01, momentum=0.0, nesterov=False, weight_decay=0.0):
        super().__init__(parameters, lr, momentum=momentum, nesterov=bool(nesterov), weight_decay=weight_decay)
        if nesterov and momentum == 0:
            raise ValueError("SGD: nesterov needs a momentum above 0; 0.9 is usual")

    def update(self, lr, step, names, w, g):
        momentum = self.settings["momentum"]
        velocity = self.slot("velocity", names, w) if momentum else None
        ops(w[0]).sgd(w, g, velocity, lr, momentum, self.settings["nesterov"], self.settings["weight_decay"])


class RMSProp(_Optimizer):
    """s ← ρs + (1 - ρ)g²;  w ← w - lr g/(√s + ε), with momentum through a velocity; centered subtracts mean(g)² from s.

    Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, (38) to (45).
    """

    SLOTS = ("square", "velocity", "mean")

    def __init__(self, parameters, lr=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, weight_decay=0.0):
        super().__init__(parameters, lr, rho=rho, momentum=momentum, epsilon=epsilon, centered=bool(centered),
                         weight_decay=weight_decay)

    def update(self, lr, step, names, w, g):
        s = self.settings
        velocity = self.slot("velocity", names, w) if s["momentum"] else None
        mean = self.slot("mean", names, w) if s["centered"] else None
        ops(w[0]).rmsprop(w, g, self.slot("square", names, w), velocity, mean, lr, s["rho"], s["epsilon"],
                          s["momentum"], s["weight_decay"])


class Adam(_Optimizer):
    """m ← β₁m + (1 - β₁)g;  v ← β₂v + (1 - β₂)g²;  w ← w - lr m̂/(√v̂ + ε), hats: divided by 1 - βᵗ.

    Kingma & Ba 2014, algorithm 1. weight_decay is added to the gradient (L2); AdamW decouples it.
    """

    SLOTS = ("m", "v")

    def __init__(self, parameters, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
        super().__init__(parameters, lr, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay)

    def update(self, lr, step, names, w, g):
        s = self.settings
        ops(w[0]).adam(w, g, self.slot("m", names, w), self.slot("v", names, w), step, lr, s["beta1"], s["beta2"],
                       s["epsilon"], s["weight_decay"])


class AdamW(_Optimizer):
    """Adam, with the decay outside the adaptive step: w ← w - lr λw, then Adam's.  Loshchilov & Hutter 2017, alg. 2."""

    SLOTS = ("m", "v")

    def __init__(self, parameters, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01):
        super().__init__(parameters, lr, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay)

    def update(self, lr, step, names, w, g):
        s = self.settings
        ops(w[0]).adamw(w, g, self.slot("m", names, w), self.slot("v", names, w), step, lr, s["beta1"], s["beta2"],
                        s["epsilon"], s["weight_decay"])
