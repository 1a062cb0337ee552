"""What a training run was like, an epoch a row."""

import base64
import html

FIELDS = ("epoch", "step", "lr", "seconds", "images_per_second", "train_loss", "train_accuracy",
          "validation_loss", "validation_accuracy")


class History(list):
    """A list of dicts with the keys FIELDS, one for each finished epoch; history["train_loss"] is a column.

    epoch counts from 1; step is the number of updates made so far, lr that of the last one. seconds and
    images_per_second are those of the pass over the training set, validation not included. Training loss and
    accuracy are means over the epoch, of each batch before its update; validation's may be None. A row has skipped_steps
    besides where a GPU skipped some, whose gradients were not finite.
    """

    def __getitem__(self, key):
        if isinstance(key, str):
            if key == "skipped_steps":
                return [row.get(key, 0) for row in self]
            if key not in FIELDS:
                raise KeyError(f"History: expected one of {', '.join(FIELDS)}, got {key!r}")
            return [row[key] for row in self]
        return super().__getitem__(key)

    def best(self):
        """The row with the highest validation accuracy (of equals, the lowest loss, then the first)."""
        if not self or self[0]["validation_accuracy"] is None:
            raise ValueError("History: no best epoch without a validation set and one finished epoch")
        return max(self, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))

    def plot(self, title="training"):
        """Loss and accuracy over the epochs: a matplotlib Figure, which a notebook shows. ValueError without any."""
        from scratchnet.plots.learning import draw_curves

        return draw_curves(self, title)

    def __repr__(self):
        if not self:
            return "History: no finished epoch"
        last = self[-1]
        text = (f"History: {len(self)} epoch{'s' * (len(self) > 1)}; the last: training loss "
                f"{last['train_loss']:.4f}, accuracy {last['train_accuracy']:.2%}")
        if last["validation_accuracy"] is None:
            return text
        best = self.best()
        return text + (f"; the best in validation, {best['epoch']}: loss {best['validation_loss']:.4f}, "
                       f"accuracy {best['validation_accuracy']:.2%}")

    def _repr_html_(self):
        """What a notebook shows for it: the curves, and every epoch's numbers folded up below."""
        if not self:
            return f"<p>{html.escape(repr(self))}</p>"
        from scratchnet.plots.figures import to_png

        picture = base64.b64encode(to_png(self.plot())).decode("ascii")
        rows = "".join(f"<tr>{''.join(f'<td>{_cell(row[field])}</td>' for field in FIELDS)}</tr>" for row in self)
        heads = "".join(f"<th>{field.replace('_', ' ')}</th>" for field in FIELDS)
        return (f'<p>{html.escape(repr(self))}</p><img src="data:image/png;base64,{picture}" '
                f'style="max-width: 100%" alt="loss and accuracy over the epochs">'
                f"<details><summary>all epochs</summary><table><tr>{heads}</tr>{rows}</table></details>")


def _cell(value):
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def epoch_line(row, epochs):
    """A row in words, on one line."""
    text = (f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  lr {row['lr']:<8.3g}"
            f" train: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:7.2%}")
    if row["validation_loss"] is not None:
        text += f"  validation: loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:7.2%}"
    text += f"  {row['seconds']:.1f} s, {row['images_per_second']:,.0f} images/s"
    skipped = row.get("skipped_steps")
    return text if not skipped else f"{text}; {skipped} step{'s' * (skipped > 1)} skipped, a gradient was not finite"
