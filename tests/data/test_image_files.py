"""Images in files, served like an array: the same bits for any number of threads, kept where they fit."""

import io

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import Arrays, Batches, DataError, ImageFiles, Preprocessing, Splits, image_files
from scratchnet.data.image_files import Files
from scratchnet.data.images import read_pixels
from scratchnet.data.splits import split_validation


class Source:
    """Bytes that count how often they are read."""

    def __init__(self, content):
        self.content, self.read_times, self.size = content, 0, len(content)

    def read(self, limit=None):
        self.read_times += 1
        return self.content[:limit]


def sources(n, broken=()):
    """n JPEGs of different sizes, each of a colour of its own."""
    made = []
    for i in range(n):
        content = io.BytesIO()
        Image.new("RGB", (40 + i, 30), (5 * i, 255 - 5 * i, 7)).save(content, "JPEG", quality=95)
        made.append(Source(content.getvalue()[:200 if i in broken else None]))
    return made


def images(n=23, size=(8, 12), broken=(), checked=False):
    made = sources(n, broken)
    files = ImageFiles(Files(made, [f"d/{i}.jpg" for i in range(n)]), np.arange(n), 3, checked=checked)
    return (files.sized(*size, 3) if size else files), made


def test_it_looks_like_an_array_of_which_the_size_comes_later():
    x, _ = images(size=None)
    assert x.shape == (23, None, None, 3) and x.dtype == np.uint8 and len(x) == 23
    with pytest.raises(ValueError, match="ImageFiles: expected a size .* call sized"):
        x.take([0])
    assert x.sized(8, 12, 3).shape == (23, 8, 12, 3) and x.sized(8, 12, 1).shape == (23, 8, 12, 1)
    part = x.select([3, -1])
    assert part.names == ["d/3.jpg", "d/22.jpg"] and part.sized(8, 12, 3).shape == (2, 8, 12, 3)


def test_what_is_taken_is_what_the_files_hold_in_the_order_asked_for():
    x, made = images()
    got = x.take(np.array([5, 0, 5]))
    for image, index in zip(got, (5, 0, 5)):
        np.testing.assert_array_equal(image, read_pixels(made[index].content, "", (8, 12), 3))
    np.testing.assert_array_equal(x.select([4, 5, 6]).take([1, 2]), x.take([5, 6]))
    np.testing.assert_array_equal(x.take_ahead([5, 0, 5]), got)
    got[...] = 0                                                # what was taken is a copy
    assert x.take([5]).any()


@pytest.mark.parametrize("limit, times", [(23 * 8 * 12 * 3, 1), (23 * 8 * 12 * 3 - 1, 3)])
def test_decoded_images_are_kept_if_all_of_them_fit(monkeypatch, limit, times):
    monkeypatch.setattr(image_files, "KEEP", limit)
    x, made = images()
    first = x.take(np.arange(23))
    np.testing.assert_array_equal(x.take(np.arange(23)), first)
    # parts share what is kept, and so does another of the same size
    np.testing.assert_array_equal(x.select([7]).sized(8, 12, 3).take([0]), first[[7]])
    assert [source.read_times for source in made] == [times if i == 7 else min(times, 2) for i in range(23)]


def test_what_is_kept_goes_with_the_last_who_wants_it():
    x, _ = images()
    files = x.files
    x.take([0])
    assert len(files.kept) == 1
    other = x.sized(4, 4, 3)
    assert len(files.kept) == 2
    del x
    assert len(files.kept) == 1 and other.kept is not None


def batches(x, **options):
    return Batches(x, np.arange(len(x)), 5, **{"seed": 3, **options})


def served(made, epoch=1, start=0):
    return [(x.tobytes(), x.shape, y.tolist()) for x, y in made.epoch(epoch, start)]


def shift(pictures, labels, samples, epoch):
    """An augmentation that depends on what it may depend on."""
    add = (samples[:, np.newaxis, np.newaxis, np.newaxis] + epoch).astype(np.float32)
    return pictures.astype(np.float32)[:, :-1] + add, np.eye(23, dtype=np.float32)[labels]


@pytest.mark.parametrize("augment", [None, shift])
@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("kept", [True, False])
def test_the_bits_are_the_same_for_any_number_of_workers_and_any_start(monkeypatch, workers, kept, augment):
    monkeypatch.setattr(image_files, "KEEP", 1 << 30 if kept else 0)
    x, _ = images()
    expected = batches(Arrays(x.take(np.arange(23)), np.arange(23)).images, augment=augment, workers=0)
    whole = served(expected)
    made = batches(x, workers=workers, augment=augment)
    for start in (0, 3, 5):
        assert served(made, 1, start) == whole[start:]
    assert served(made, 2) == served(expected, 2) != whole
    assert made.waiting.threads == workers and made.waiting.decoded == (0 if kept else 23)


def test_augmentation_is_told_which_samples_of_which_epoch_it_gets():
    x, told = images()[0], []

    def look(pictures, labels, samples, epoch):
        assert pictures.dtype == np.uint8 and labels.dtype == np.int64 and samples.dtype == np.int64
        np.testing.assert_array_equal(pictures, x.take(samples))
        told.append((labels.tolist(), samples.tolist(), epoch))
        return pictures.astype(np.float32), labels

    made = Batches(x, np.arange(23) + 100, 5, seed=3, augment=look, workers=0)
    for epoch in (0, 6):
        told.clear()
        list(made.epoch(epoch))
        assert [said[2] for said in told] == [epoch] * 5
        assert [said[0] for said in told] == [[i + 100 for i in said[1]] for said in told]
        assert sorted(i for said in told for i in said[1]) == list(range(23))


def test_an_array_that_is_augmented_is_made_ahead_and_one_that_is_not_is_not():
    x = np.random.default_rng(0).integers(0, 256, (23, 8, 12, 3)).astype(np.uint8)
    plain = batches(x)
    list(plain.epoch(0))
    assert plain.waiting is None
    changed = batches(x, augment=shift, preprocessing=Preprocessing((0,) * 3, (1,) * 3, size=(4, 4)))
    (pictures, labels), *_ = changed.epoch(0)
    assert pictures.shape == (5, 4, 4, 3) and pictures.dtype == np.float32 and labels.shape == (5, 23)
    assert changed.waiting.decoded == 0 and changed.waiting.worked > 0
    np.testing.assert_array_equal(x, np.random.default_rng(0).integers(0, 256, x.shape).astype(np.uint8))


def test_a_damaged_file_is_named_when_its_batch_comes():
    x, _ = images(broken=[11, 12])
    made = batches(x, shuffle=False, workers=3)
    loop = made.epoch(0)
    next(loop), next(loop)
    with pytest.raises(DataError, match=r"^d/11\.jpg: expected .*cut short"):
        next(loop)


def test_images_that_are_checked_are_decoded_as_soon_as_they_have_a_size():
    with pytest.raises(DataError, match=r"^d/4\.jpg: expected"):
        images(broken=[4, 5], checked=True)
    with pytest.raises(DataError, match=r"^d/5\.jpg: expected"):
        images(broken=[4, 5], checked=True, size=None)[0].select([3, 5]).sized(8, 12, 3)
    x, made = images(checked=True)
    assert all(source.read_times == 1 for source in made)
    x.take(np.arange(23))
    assert all(source.read_times == 1 for source in made)


def test_splits_of_files_get_a_size_statistics_and_a_preprocessing():
    x, made = images(size=None)
    train = Arrays(x, np.arange(23, dtype=np.int64) % 2)
    splits = Splits("d", train, train.take([1, 2]), ["a", "b"], "", "")
    assert splits.image_shape is None and splits.channels == 3
    sized = splits.sized(8, 12)
    assert sized.image_shape == (8, 12, 3) and sized.test.images.shape == (2, 8, 12, 3)
    pixels = np.stack([read_pixels(source.content, "", (8, 12), 3) for source in made]) / 255
    mean, std = sized.statistics()
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-9)
    assert Preprocessing.for_input(sized, (8, 12, 3)).size is None
    part, validation = split_validation(sized.train, 0.25)
    assert (len(part), len(validation)) == (17, 6) and isinstance(part.images, ImageFiles)
    assert sorted([*part.images.names, *validation.images.names]) == sorted(x.names)


def test_batches_of_files_without_a_size_are_refused():
    with pytest.raises(ValueError, match="Batches: expected images of a known size, got image files; call sized"):
        batches(images(size=None)[0])
