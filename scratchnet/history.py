"""What a training run was like, an epoch a row."""

FIELDS = ("epoch", "step", "lr", "seconds", "images_per_second", "train_loss", "train_accuracy",
          "validation_loss", "validation_accuracy")


class History(list):
    """A list of dicts with the keys FIELDS, one for each finished epoch; history["train_loss"] is a column.

    epoch counts from 1; step is the number of updates made so far, lr that of the last one. seconds and
    images_per_second are those of the pass over the training set, validation not included. Training loss and
    accuracy are means over the epoch, of each batch before its update; validation's may be None.
    """

    def __getitem__(self, key):
        if isinstance(key, str):
            if key not in FIELDS:
                raise KeyError(f"History: expected one of {', '.join(FIELDS)}, got {key!r}")
            return [row[key] for row in self]
        return super().__getitem__(key)

    def best(self):
        """The row with the highest validation accuracy (of equals, the lowest loss, then the first)."""
        if not self or self[0]["validation_accuracy"] is None:
            raise ValueError("History: no best epoch without a validation set and one finished epoch")
        return max(self, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))


def epoch_line(row, epochs):
    """A row in words, on one line."""
    text = (f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  lr {row['lr']:<8.3g}"
            f" train: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:7.2%}")
    if row["validation_loss"] is not None:
        text += f"  validation: loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:7.2%}"
    return text + f"  {row['seconds']:.1f} s, {row['images_per_second']:,.0f} images/s"
