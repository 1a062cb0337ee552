"""evaluate, and the ways to call a command."""

import json

RUN = "runs/lenet5-mnist-sample"


def test_evaluate_agrees_with_the_result_of_the_run(trained):
    done = trained.run("-m", "scratchnet.evaluate", RUN, "mnist-sample", "--json", "--confusion", "a.png")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    result = json.loads((trained.folder / RUN / "result.json").read_text("utf-8"))
    assert {name: found[name] for name in ("test_accuracy", "test_loss", "n", "dataset")} == \
        {name: result[name] for name in ("test_accuracy", "test_loss", "n", "dataset")}
    assert sum(map(sum, found["confusion"])) == 2000
    assert sum(found["confusion"][k][k] for k in range(10)) == round(2000 * found["test_accuracy"])
    assert (trained.folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_in_words_ends_with_what_the_accuracy_was_measured_on(trained):
    done = trained.run("-m", "scratchnet", "evaluate", f"{RUN}/last.safetensors", "mnist-sample")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["class", "images", "correct", "accuracy"] and len(lines) == 13
    assert lines[-1].endswith("accuracy on 2,000 held-out sample digits, not MNIST's test set")


def test_summary_reads_a_run_folder_and_keeps_stderr_clean(trained):
    done = trained.run("-m", "scratchnet.summary", RUN)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("61,706 parameters")


def test_importing_the_package_imports_nothing_heavy(trained):
    heavy = ("numba", "matplotlib", "PIL", "tqdm", "pooch", "cupy", "torch")
    done = trained.run("-c", f"import scratchnet, sys; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout == "[]\n", done.stdout
