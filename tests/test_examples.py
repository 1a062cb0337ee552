"""Every example runs as its docstring says, is short, and shows what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def run(name, *arguments):
    """What `python -m examples.NAME ...` prints, run from the root of the checkout."""
    done = subprocess.run([sys.executable, "-m", f"examples.{name}", *arguments], cwd=ROOT, text=True, encoding="utf-8",
                          capture_output=True, env={**os.environ, "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_in_a_hundred_lines_and_says_how_it_is_run(name):
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    assert f"python -m examples.{name}" in text.split('"""')[1]
    assert f"examples/{name}.py" in (ROOT / "README.md").read_text(encoding="utf-8"), "the README does not mention it"


def test_lenet5_learns_in_a_loop_of_ones_own():
    printed = run("lenet5_own_loop", "--epochs", "1")
    assert re.search(r"^epoch 1  loss 0\.\d+", printed, re.MULTILINE), printed
    accuracy = re.search(r"accuracy (\d+\.\d+)% on the 2,000 test images of mnist-sample", printed)
    assert accuracy and float(accuracy[1]) > 88, printed                  # 10% is chance; one epoch gives 92 to 94


def test_the_broken_layer_is_found_and_the_right_one_passes():
    printed = run("write_a_layer")
    right, network, path, mean = printed.split("\n\n")
    assert "backward agrees" in right and re.search(r"^gain +4 elements", right, re.MULTILINE)
    assert "norm.gain" in network
    assert "dL/dx" in path and "central differences" in path
    assert "dL/dgain" in mean and "4 of 4 compared elements of gain differ" in mean


def test_a_network_of_ones_own_leaves_a_run_folder(tmp_path):
    printed = run("own_network", "--epochs", "1", "--out", str(tmp_path / "mine"))
    assert "GlobalAvgPool2D" in printed and "after 1 epochs" in printed
    assert {"mistakes.png", "curves.png", "best.safetensors"} <= {path.name for path in (tmp_path / "mine").iterdir()}


def test_filters_and_feature_maps_are_drawn(tmp_path):
    from PIL import Image

    assert str(tmp_path) in run("what_it_sees", "--epochs", "1", "--digit", "7", "--out", str(tmp_path))
    for name in ("filters.png", "feature_maps.png", "grad_cam.png"):
        with Image.open(tmp_path / name) as picture:
            pixels = np.asarray(picture.convert("L"))
        assert pixels.shape[0] > 200 and pixels.shape[1] > 500
        assert pixels.std() > 10, f"{name} is a blank page"


def test_the_three_convolutions_agree_and_are_timed():
    printed = run("convolution_three_ways", "--batch", "2", "--size", "9", "--repeat", "2")
    times = {name.strip(): float(time.replace(",", "")) for name, time in re.findall(r"^(.{16}) +([\d,.]+) µs an image",
                                                                                    printed, re.MULTILINE)}
    assert list(times) == ["loops in Python", "im2col", "loops in Numba", "kernels/cpu"], printed
    assert times["loops in Python"] > 5 * max(times["im2col"], times["loops in Numba"]), printed      # 1000 times here


def test_a_new_head_learns_on_weights_in_the_published_layout_and_nothing_else_does():
    printed = run("fine_tune")
    assert "changed: fc.weight, fc.bias\n" in printed
    accuracy = re.search(r"accuracy on 100 unseen digits: (\d+)%", printed)
    assert accuracy and int(accuracy[1]) > 25, printed                    # 10% is chance
