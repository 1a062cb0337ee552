"""What a run writes for TensorBoard, by way of the extra package tensorboardX."""

import importlib.util

import numpy as np

# row's field: the name of its curve. TensorBoard draws what stands before the "/" into one group.
CURVES = {"train_loss": "loss/train", "validation_loss": "loss/validation",
          "train_accuracy": "accuracy/train", "validation_accuracy": "accuracy/validation",
          "lr": "lr", "images_per_second": "images_per_second"}

FLUSH = 5                   # seconds until a point is on the disk


def check():
    """RuntimeError where the package is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise RuntimeError("TensorBoard: expected the package tensorboardX, which is not installed; install it with: "
                           'pip install "scratchnet-cnn[tensorboard]" (in a checkout: pip install -e ".[tensorboard]")')


class TensorBoard:
    """Writes rows of a History as curves over the step, and pictures, into event files in `folder`.

    start_step: where a resumed run goes on; what earlier files say of later steps is hidden, for it will be written
    again. tensorboardX writes from a thread, seconds later, and a process that is killed loses that: so a run that
    is resumed had better start from 0 and write the rows of its history again. RuntimeError where tensorboardX is
    not installed, OSError where the folder cannot be written.
    """

    def __init__(self, folder, start_step=0):
        check()
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=start_step + 1, flush_secs=FLUSH)

    def row(self, row):
        """A curve's next point from each of the row's fields that has a value."""
        for field, name in CURVES.items():
            if row.get(field) is not None:
                self._writer.add_scalar(name, row[field], row["step"])

    def picture(self, name, path, step):
        """The image file at `path`, as `name`."""
        from PIL import Image

        with Image.open(path) as image:
            self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self):
        """Write what is not yet on the disk."""
        self._writer.close()
