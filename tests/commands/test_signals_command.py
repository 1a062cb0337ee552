"""Ctrl-C and SIGTERM while a network trains."""

import os
import signal
import time

import pytest

from scratchnet import checkpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals to another process are POSIX's")
RUN = "runs/lenet5-mnist-sample"


@pytest.fixture(autouse=True)
def ctrl_c_is_not_ignored():
    """In the background of a shell script SIGINT is ignored, and so would it be in what starts from there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def begin(commands):
    """A training run that has finished its first epoch."""
    process = commands.start("-m", "scratchnet.train", "lenet5", "mnist-sample", "--epochs", "1000",
                             "--threads", "1")
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("epoch"):
            return process
    raise AssertionError("".join(seen))


@pytest.mark.parametrize("signum, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)],
                         ids=["Ctrl-C", "SIGTERM"])
def test_the_first_signal_finishes_the_batch_and_saves(make_commands, signum, code):
    commands = make_commands("signal")
    process = begin(commands)
    time.sleep(0.3)                                         # into the second epoch, probably between its ends
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out == "" and "Traceback" not in err and "stopping after this batch" in err
    saved = checkpoint.load(commands.folder / RUN / "last.safetensors")
    assert f"stopped after step {saved.counters['step']}, saved in" in err and " --resume goes on" in err
    assert saved.counters["step"] > 113 and saved.counters["epoch"] == saved.counters["step"] // 113
    assert len(commands.rows(RUN)) == saved.counters["epoch"]
    left = [path.name for path in (commands.folder / RUN).iterdir()]
    assert "result.json" not in left and not any(name.endswith(".part") for name in left)


def test_the_second_signal_does_not_wait_for_the_batch(tmp_path, capsys):
    from scratchnet.signals import Stopped, after_this_batch

    with pytest.raises(Stopped) as stopped, after_this_batch() as request:
        signal.raise_signal(signal.SIGTERM)
        assert request.signum == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second signal was not enough")
    assert stopped.value.signum == signal.SIGINT
    assert capsys.readouterr().err == "SIGTERM: stopping after this batch; once more to stop at once\n"


def test_the_handlers_that_were_there_come_back():
    from scratchnet.signals import after_this_batch, at_once

    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with at_once(), after_this_batch():
        assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_ignored_signal_stays_ignored():
    from scratchnet.signals import after_this_batch

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with after_this_batch() as request:
            signal.raise_signal(signal.SIGINT)
            assert request.signum is None
    finally:
        signal.signal(signal.SIGINT, before)
