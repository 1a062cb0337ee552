"""TensorBoard: what is written, and what a resumed run hides. Needs tensorboardX; the last TensorBoard, too."""

import sys

import numpy as np
import pytest

from scratchnet.history import FIELDS
from scratchnet.tensorboard import TensorBoard

ROW = dict(zip(FIELDS, (1, 100, 0.05, 2.0, 4000.0, 0.75, 0.5, 0.25, 0.875)))


def events(folder):
    """(step, tag, value) of every scalar in the folder's event files, the oldest file first."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):                    # length (8), checksum (4), the event, checksum (4)
            length = int.from_bytes(content[at:at + 8], "little")
            event = Event.FromString(content[at + 12:at + 12 + length])
            at += length + 16
            found += [(event.step, value.tag, value) for value in event.summary.value]
    return found


def test_without_tensorboardx_the_way_to_install_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(RuntimeError, match=r'pip install "scratchnet-cnn\[tensorboard\]".*-e "\.\[tensorboard\]"'):
        TensorBoard(tmp_path)


def test_a_row_becomes_a_point_of_each_curve_at_its_step(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra package tensorboardX is not installed")
    board = TensorBoard(tmp_path)
    board.row(ROW)
    board.row(ROW | {"step": 200, "validation_loss": None, "validation_accuracy": None})
    board.close()
    assert {(step, tag, round(value.simple_value, 4)) for step, tag, value in events(tmp_path)
            if step == 100} == {
        (100, "loss/train", 0.75), (100, "accuracy/train", 0.5), (100, "loss/validation", 0.25),
        (100, "accuracy/validation", 0.875), (100, "lr", 0.05), (100, "images_per_second", 4000)}
    assert sum(step == 200 for step, _, _ in events(tmp_path)) == 4


def test_a_picture_is_stored_as_it_is(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra package tensorboardX is not installed")
    import io

    from PIL import Image

    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    board = TensorBoard(tmp_path / "board")
    board.picture("curves", tmp_path / "a.png", 7)
    board.close()
    (step, tag, value), = events(tmp_path / "board")
    assert (step, tag) == (7, "curves")
    with Image.open(io.BytesIO(value.image.encoded_image_string)) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)


def test_a_resumed_run_hides_what_came_after_its_start_and_nothing_before(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra package tensorboardX is not installed")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator",
                                 reason="TensorBoard itself is not installed")
    import time

    board = TensorBoard(tmp_path)
    for step in (100, 200, 300):
        board.row(ROW | {"step": step, "lr": 1.0})
    board.close()
    time.sleep(1.1)                                 # the names of event files are times in whole seconds
    board = TensorBoard(tmp_path, start_step=200)
    board.row(ROW | {"step": 300, "lr": 2.0})
    board.close()
    shown = reader.EventAccumulator(str(tmp_path))
    shown.Reload()
    assert [(event.step, event.value) for event in shown.Scalars("lr")] == [(100, 1), (200, 1), (300, 2)]
