"""The network that MODEL on the command line means, made for the classes, size and channels of a dataset."""

from scratchnet import cli, models, own_network
from scratchnet.data.preprocessing import is_padded

UNTOLD = (128, 128)         # for images of many sizes, where neither network nor user names one
MOST = 256                  # pixels of a side: image files that all have one size are taken as they are up to this


class Network:
    """A name of the zoo, or FILE.py:FUNCTION. ValueError for what is neither."""

    def __init__(self, text):
        self.own = own_network.load(text) if own_network.is_own(text) else None
        if self.own:
            self.name, self.source, self.label = self.own.name, self.own.source, self.own.name.rpartition(":")[2]
        else:
            self.name, self.source, self.label = cli.known("model", text, models.names()), None, text

    def usual_shape(self):
        """(H, W, C) of the images the network was made for, or None where it says nothing."""
        return self.own.input_shape() if self.own else models.input_shape(self.name)

    def build(self, input_shape, classes, seed):
        if self.own:
            return self.own.build(input_shape, classes, seed)
        return models.create(self.name, input_shape, classes, seed)

    def made_for(self, splits, size, seed):
        """The model, initialised, for `size` (H, W) if that is given, else for images as they are where they fit.

        Images a little smaller than the network's usual ones are padded to those. Where a network cannot be made for
        the images, or they have no size of their own, it is made as usual, and they are resized.
        """
        usual, classes, channels = self.usual_shape(), len(splits.class_names), splits.channels
        if size:
            return self.build((*size, channels), classes, seed)
        fixed = self.own and usual and "input_shape" not in self.own.parameters
        if fixed:
            return self.build(usual, classes, seed)
        own_size = size_of(splits)
        if own_size is None:
            return self.build((*(usual or UNTOLD)[:2], channels), classes, seed)
        height, width = own_size
        if usual and is_padded(own_size, usual[:2]):
            return self.build((*usual[:2], channels), classes, seed)
        try:
            return self.build((height, width, channels), classes, seed)
        except ValueError as error:
            larger = (usual or UNTOLD)[:2]
            if height >= larger[0] and width >= larger[1]:
                raise ValueError(f"{error} (--image-size sets the size of the images)") from None
            return self.build((*larger, channels), classes, seed)

    def made_for_weights(self, shape, splits, size, seed):
        """The model, initialised, for images as its weights know them: of `shape` (H, W, C), or the usual one where
        that is None, and of `size` (H, W) if that is given. ValueError for arrays with other channels; image files are
        read as wanted."""
        height, width, channels = shape or self.usual_shape() or (*UNTOLD, splits.channels)
        height, width = size or (height, width)
        if splits.image_shape is not None and splits.channels != channels:
            raise ValueError(f"{splits.name}: the model expects {height}x{width}x{channels} images, got "
                             f"{'x'.join(map(str, splits.image_shape))}; weights are for as many channels as they were "
                             "trained with: take a folder of image files, which are read as wanted, or no --weights")
        return self.build((height, width, channels), len(splits.class_names), seed)


def size_of(splits):
    """(H, W) of the images where all have the same; of files only up to MOST, for photographs are to be resized."""
    if splits.image_shape is not None:
        return splits.image_shape[:2]
    return splits.size if splits.size and max(splits.size) <= MOST else None


def sized_for(splits, input_shape, preprocessing=None):
    """Splits whose files are read with as many channels as the input has, as the preprocessing wants them, if there is
    one already; else as Preprocessing.for_input will: as they are where it will pad them, or as large as the input."""
    if preprocessing is not None:
        return splits.sized(*preprocessing.stored(input_shape), input_shape[2], preprocessing.centre)
    size = size_of(splits)
    if size is None or not is_padded(size, input_shape[:2]):
        size = input_shape[:2]
    return splits.sized(*size, input_shape[2])


def in_words(splits, input_shape, preprocessing):
    """"28x28x1 images, zero-padded to 32x32": what the dataset decided, and what is done to its images."""
    wanted = "x".join(map(str, input_shape[:2]))
    if preprocessing.centre:
        return f"images whose shorter side is resized to {preprocessing.resize} and the centre cut to {wanted}"
    if size_of(splits) is None:
        return f"images of {splits.channels} channels, resized and cut to {wanted}"
    height, width = size_of(splits)
    words = f"{height}x{width}x{splits.channels} images"
    if not any(map(any, preprocessing.padding)) and (height, width) != tuple(input_shape[:2]):
        return f"{words}, resized to {wanted}"
    return words + (f", zero-padded to {wanted}" if (height, width) != tuple(input_shape[:2]) else "")
