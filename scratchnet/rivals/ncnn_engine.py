"""ncnn on our network: from PyTorch by its own converter pnnx, which folds batch norms and fuses activations.

Winograd and packed layouts are on. Half precision is off, for weights and for sums, so that it computes what the others
do. ncnn takes one image at a time: a batch is a loop, each image on all threads.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import ncnn
import numpy as np

from scratchnet.rivals import Unavailable


OPTIONS = {"use_winograd_convolution": True, "use_sgemm_convolution": True, "use_packing_layout": True,
           "use_vulkan_compute": False, "use_fp16_packed": False, "use_fp16_storage": False,
           "use_fp16_arithmetic": False, "use_bf16_packed": False, "use_bf16_storage": False}


def engine(workload):
    with tempfile.TemporaryDirectory() as folder:
        convert(workload, folder)
        net = loaded(folder, workload.threads)
    images = workload.images()
    return lambda: outputs(net, images), {"logits": outputs(net, images)}


def loaded(folder, threads):
    """The network that ncnn_files.write left in `folder`."""
    net = ncnn.Net()
    for name, value in (OPTIONS | {"num_threads": threads}).items():
        setattr(net.opt, name, value)
    if net.load_param(f"{folder}/net.ncnn.param") or net.load_model(f"{folder}/net.ncnn.bin"):
        raise Unavailable("cannot read what its converter pnnx wrote")
    return net


def outputs(net, images):
    """(N, C, H, W) -> (N, units), one image after the other."""
    rows = []
    for image in images:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(image))
        rows.append(np.array(extractor.extract("out0")[1]))
    return np.stack(rows)


def convert(workload, folder):
    """Write net.ncnn.param and net.ncnn.bin, in a process of its own: PyTorch's memory and threads are not ncnn's."""
    root = Path(__file__).resolve().parents[2]
    code = (f"import sys; sys.path.append({str(root)!r}); from scratchnet.rivals.workload import Workload; "
            f"from scratchnet.rivals.ncnn_files import write; write({workload!r}.network(), {folder!r})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise Unavailable(f"pnnx failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
