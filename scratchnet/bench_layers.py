"""`bench --layers`: each layer alone, with its activation, on random inputs, ours and eager PyTorch's in turns."""

import importlib.util
import statistics
import time

import numpy as np

from scratchnet.contest import Remote
from scratchnet.describe import kind, sizes
from scratchnet.inference import for_inference
from scratchnet.rivals.graph import Graph

ROUNDS, SECONDS = 5, 0.03                         # of each layer; a turn is one run at least


def times(workload):
    """A dict for each kind of layer in the network: its first place, how often, GFLOP, and seconds of each engine."""
    remotes = {"scratchnet": Remote(Layers, Ours, workload)}
    if importlib.util.find_spec("torch") is not None:
        remotes["torch"] = Remote(Layers, Torch, workload)
    try:
        found = remotes["scratchnet"].call("facts")
        for index, layer in enumerate(found):
            turns = {engine: [] for engine in remotes}
            for _ in range(ROUNDS):
                for engine, remote in remotes.items():
                    turns[engine].append(remote.call("turn", index))
            for engine, taken in turns.items():
                layer[engine] = {way: statistics.median(turn[way] for turn in taken) for way in taken[0]}
        return found
    finally:
        for remote in remotes.values():
            remote.close()


class Layers:
    """The layers of a network, like ones once, each ready to be run by `engine`."""

    def __init__(self, engine, workload):
        self.workload, self.model = workload, workload.network()
        self.graph, self.like = Graph(self.model, workload.training), {}
        self.engine = engine(workload, self.graph)
        activations = {id(getattr(node.layer, "activation", None)) for node in self.graph.nodes}
        for node in self.graph.nodes:
            if not node.layer.children() and id(node.layer) not in activations:      # neither sum nor part of a layer
                key = kind(node.layer), node.shape, node.layer.checked_output_shape(node.shape), \
                    getattr(node.layer, "groups", 1)
                self.like.setdefault(key, []).append(node)

    def facts(self):
        """What `times` tells of each, but for the times."""
        first, found = self.graph.first_layers(), []
        for (words, shape, _, _), nodes in self.like.items():
            forward = 2e-9 * self.workload.batch * nodes[0].layer.multiply_adds(shape)
            gflop = {"forward": forward, "backward": forward * (1 if nodes[0] in first else 2)}
            found.append({"path": nodes[0].layer.path, "kind": words, "input": sizes(shape), "count": len(nodes),
                          "gflop": gflop})
        return found

    def turn(self, index):
        """Seconds of one run by direction, {"forward": …, "backward": …}, the median of a short turn."""
        node = list(self.like.values())[index][0]
        rng = np.random.default_rng(index)
        x = rng.standard_normal((self.workload.batch, *node.shape), dtype=np.float32)
        dy = rng.standard_normal((self.workload.batch, *node.layer.checked_output_shape(node.shape)), dtype=np.float32)
        run = self.engine.runner(node, x, dy, need_dx=node not in self.graph.first_layers())
        run()
        runs, started = [], time.perf_counter()
        while not runs or time.perf_counter() - started < SECONDS:
            runs.append(run())
        return {way: statistics.median(taken[way] for taken in runs) for way in runs[0]}


class Ours:
    def __init__(self, workload, graph):
        from scratchnet.kernels.cpu import threads
        threads.set_threads(workload.threads)
        self.training = workload.training

    def runner(self, node, x, dy, need_dx):
        layer = node.layer
        if not self.training:
            infer = for_inference(layer)
            return lambda: _timed(lambda: infer(x))[0]

        def run():
            for parameter in layer.parameters().values():
                parameter.clear_grad()
            forward, (_, backward) = _timed(lambda: layer.forward(x))
            return forward | _timed(lambda: backward(dy, need_dx), "backward")[0]
        return run


class Torch:
    def __init__(self, workload, graph):
        import torch
        torch.set_num_threads(workload.threads)
        self.training, self.graph = workload.training, graph

    def runner(self, node, x, dy, need_dx):
        import torch

        from scratchnet.rivals.pytorch import layer_with_activation
        layer = layer_with_activation(self.graph, node).train(self.training)
        x, dy = (torch.tensor(a).movedim(-1, 1).contiguous() for a in (x, dy))
        if not self.training:
            return torch.inference_mode()(lambda: _timed(lambda: layer(x))[0])
        x.requires_grad_(need_dx)

        def run():
            x.grad = None
            layer.zero_grad()
            forward, y = _timed(lambda: layer(x))
            return forward | (_timed(lambda: y.backward(dy), "backward")[0] if y.requires_grad else {"backward": 0.0})
        return run


def _timed(function, way="forward"):
    """({way: seconds}, what function() gave)."""
    started = time.perf_counter()
    result = function()
    return {way: time.perf_counter() - started}, result
