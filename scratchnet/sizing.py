"""The network that MODEL on the command line means, made for the classes, size and channels of a dataset."""

from scratchnet import cli, models, own_network
from scratchnet.data.preprocessing import LEAST_SHARE

UNTOLD = (128, 128)         # for images of many sizes, where neither network nor user names one


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
        if splits.image_shape is None:
            return self.build((*(usual or UNTOLD)[:2], channels), classes, seed)
        height, width, _ = splits.image_shape
        if usual and all(LEAST_SHARE * wanted <= got <= wanted for got, wanted in zip((height, width), usual)):
            return self.build((*usual[:2], channels), classes, seed)
        try:
            return self.build((height, width, channels), classes, seed)
        except ValueError:
            if not usual or (height >= usual[0] and width >= usual[1]):
                raise
            return self.build((*usual[:2], channels), classes, seed)


def in_words(splits, input_shape, preprocessing):
    """"28x28x1 images, zero-padded to 32x32": what the dataset decided, and what is done to its images."""
    wanted = "x".join(map(str, input_shape[:2]))
    if splits.image_shape is None:
        return f"images of {splits.channels} channels, resized and cut to {wanted}"
    height, width, channels = splits.image_shape
    words = f"{height}x{width}x{channels} images"
    if preprocessing.size not in (None, (height, width)):
        return f"{words}, resized to {wanted}"
    return words + (f", zero-padded to {wanted}" if (height, width) != tuple(input_shape[:2]) else "")
