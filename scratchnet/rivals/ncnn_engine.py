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


def engine(workload):
    net = ncnn.Net()
    for name, value in {"num_threads": workload.threads, "use_winograd_convolution": True,
                        "use_sgemm_convolution": True, "use_packing_layout": True, "use_vulkan_compute": False,
                        **dict.fromkeys(("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic",
                                         "use_bf16_packed", "use_bf16_storage"), False)}.items():
        setattr(net.opt, name, value)
    with tempfile.TemporaryDirectory() as folder:
        convert(workload, folder)
        if net.load_param(f"{folder}/net.ncnn.param") or net.load_model(f"{folder}/net.ncnn.bin"):
            raise Unavailable("cannot read what its converter pnnx wrote")
    images = workload.images()

    def step():
        logits = []
        for image in images:
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(image))
            logits.append(np.array(extractor.extract("out0")[1]))
        return np.stack(logits)
    return step, {"logits": step()}


def convert(workload, folder):
    """Write net.ncnn.param and net.ncnn.bin, in a process of its own: PyTorch's memory and threads are not ncnn's."""
    root = Path(__file__).resolve().parents[2]
    code = (f"import sys; sys.path.append({str(root)!r}); from scratchnet.rivals.workload import Workload; "
            f"from scratchnet.rivals.ncnn_files import write; write({workload!r}.network(), {folder!r})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise Unavailable(f"pnnx failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
