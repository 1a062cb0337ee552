"""Who `bench` measures: scratchnet and four other engines, each in the modes it could be fastest in.

An engine is a function engine(workload, **mode) -> (step, first) in a file here: step() is one training step, or one
inference of the batch; first is what the first step gave, {"logits": array} or {name of a parameter: its gradient},
NumPy arrays. On a GPU the file has a `meter`, too (meters.py).
"""

import importlib.util
from typing import NamedTuple

PEERS = "pip install 'scratchnet-cnn[peers]' (in a checkout: pip install '.[peers]')"
TORCH = "pip install torch==2.13.0"


class Rival(NamedTuple):
    """rows: {name of the row: (file, mode)}, on_gpu those on a GPU; trains: whether it has backward passes."""

    packages: tuple
    install: str
    rows: dict
    on_gpu: dict = {}
    trains: bool = False


OURS = {"scratchnet": ("ours", {})}
RIVALS = {
    "torch": Rival(("torch",), TORCH, {
        "torch": ("torch_engine", {}),
        "torch channels_last": ("torch_engine", {"channels_last": True}),
        "torch compiled": ("torch_engine", {"compiled": "default"}),
        "torch compiled channels_last": ("torch_engine", {"compiled": "default", "channels_last": True})}, {
        "torch": ("torch_engine", {}),
        "torch channels_last": ("torch_engine", {"channels_last": True}),
        "torch compiled channels_last": ("torch_engine", {"compiled": "default", "channels_last": True}),
        "torch in graphs channels_last": ("torch_engine", {"compiled": "reduce-overhead", "channels_last": True})},
        trains=True),
    "onnxruntime": Rival(("onnx", "onnxruntime"), PEERS, {"onnxruntime": ("onnxruntime_engine", {})}),
    "openvino": Rival(("onnx", "openvino"), PEERS, {"openvino": ("openvino_engine", {})}),
    "ncnn": Rival(("torch", "ncnn", "pnnx"), PEERS, {"ncnn": ("ncnn_engine", {})}),
}
ROWS = {**OURS, **{row: how for rival in RIVALS.values() for row, how in (rival.rows | rival.on_gpu).items()}}


class Unavailable(RuntimeError):
    """Why an engine cannot take part; its row says it."""


def rows_of(name, device, compiled=True):
    """{row: (file, mode)} of a rival on "cpu" or "cuda"; without those that are compiled first unless `compiled`."""
    rows = RIVALS[name].on_gpu if device == "cuda" else RIVALS[name].rows
    return {row: how for row, how in rows.items() if compiled or "compiled" not in how[1]}


def why_not(name, mode, device="cpu"):
    """Why a rival has no times in this mode, or None."""
    rival = RIVALS[name]
    if device == "cuda" and not rival.on_gpu:
        return "measured on the CPU only"
    missing = [package for package in rival.packages if importlib.util.find_spec(package) is None]
    if mode == "training" and not rival.trains:
        return "has no backward passes"
    return f"not installed ({', '.join(missing)}): {rival.install}" if missing else None
