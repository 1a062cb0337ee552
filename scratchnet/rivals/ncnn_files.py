"""The same network as ncnn's two files: PyTorch's trace of it, converted by pnnx."""

import subprocess

import pnnx
import torch

from scratchnet.rivals.pytorch import Network


def write(model, folder):
    """folder/net.ncnn.param and net.ncnn.bin, weights in float32. RuntimeError with what pnnx said, where it fails."""
    height, width, channels = model.input_shape
    traced = torch.jit.trace(Network(model, training=False), torch.zeros(1, channels, height, width), check_trace=False)
    traced.save(f"{folder}/net.pt")
    done = subprocess.run([pnnx.EXEC_PATH, "net.pt", f"inputshape=[1,{channels},{height},{width}]", "fp16=0"],
                          cwd=folder, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise RuntimeError(f"pnnx: {done.stderr[-500:]}")
