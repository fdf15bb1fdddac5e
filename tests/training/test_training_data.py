from dataclasses import replace

import numpy as np
import pytest
import torch

from imprint_bench.data.dataset import ImageDataset
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.training.mixing import mixture_of
from imprint_bench.training.preparation import measured
from imprint_bench.training.streaming import StreamedData, window
from imprint_bench.training.training_data import InMemoryData, check_against, in_memory, shuffled

CPU = torch.device("cpu")


def tagged(n, start=0, shape=(2, 3, 1), where="images"):
    """Return data whose pixels are all the number of the row, counted from `start`."""
    images = np.empty((n, *shape), np.uint8)
    images[:] = np.arange(start, start + n)[:, None, None, None]
    return InMemoryData(images, np.arange(n) % 3, where)


def dataset(shapes):
    """Return a dataset of images of given sizes, grey if they have one channel."""
    rng = np.random.default_rng(0)
    stored = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]

    def read(split, start, stop):
        part = stored[start:stop]
        return np.stack(part) if len({x.shape for x in part}) == 1 else part

    return ImageDataset(
        where="folder",
        read_labels=lambda split: np.arange(len(stored)) % 2,
        read_images=read,
        read_shape=lambda: stored[0].shape,
        read_fingerprint=lambda: "f",
    ), stored


def pixels(data, order, draw=None):
    return list(data.batches(order, device=CPU, draw=draw))


def test_an_epoch_has_every_row_at_most_once_in_full_batches():
    order = shuffled(10, 3, np.random.default_rng(0))
    assert order.shape == (3, 3)
    assert len(set(order.flatten())) == 9


def test_batches_are_the_rows_that_are_asked_for_channels_first():
    data = tagged(5)
    for order in ([np.array([4, 0]), np.array([2])], np.array([[4, 0], [2, 2]])):
        for rows, batch in zip(order, pixels(data, order), strict=True):
            assert batch.shape == (len(rows), 1, 2, 3)
            assert batch[:, 0, 0, 0].tolist() == rows.tolist()


def test_a_batch_is_a_copy():
    data = tagged(3)
    pixels(data, [np.arange(3)])[0].zero_()
    assert pixels(data, [np.arange(3)])[0][2].eq(2).all()
    assert data.images[2].min() == 2


def test_a_split_of_one_size_is_read_whole():
    source, stored = dataset([(4, 5, 3)] * 7)
    data = in_memory(source, "train")
    assert np.array_equal(data.images, np.stack(stored))
    assert data.shape == (4, 5, 3)


def test_images_of_several_sizes_are_refused_without_a_size():
    source, _ = dataset([(4, 5, 3), (4, 4, 3)])
    with pytest.raises(ConfigError, match=r"not all of 4 x 5 pixels; set recipe\.image_size"):
        in_memory(source, "train")


def test_the_fingerprint_tells_other_pixels_and_other_labels():
    a, b = tagged(4), tagged(4)
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != tagged(4, start=1).fingerprint
    assert a.fingerprint != InMemoryData(a.images, a.labels + 1).fingerprint


@pytest.mark.parametrize(
    ("n_classes", "batch_size", "sentence"),
    [
        (2, 2, "digits: label 2 in row 2; the head has 2 classes, from 0 to 1"),
        (3, 6, "digits: 5 images are fewer than a batch of 6; choose recipe.batch_size=5 or less"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(n_classes, batch_size, sentence):
    with pytest.raises(DataError) as caught:
        check_against(tagged(5, where="digits"), n_classes=n_classes, batch_size=batch_size)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 3, 3)), np.zeros((3, 2, 2, 1)), np.zeros((0, 2, 2, 1))]
)
def test_arrays_that_are_no_images_with_labels_are_refused(images):
    with pytest.raises(DataError, match=r"expected shape \(n, height, width, channels\)"):
        InMemoryData(images, np.zeros(2 if len(images) else 0, dtype=np.int64))


ROWS = {"new": range(12), "memory": range(12, 17)}


def mixture(rows=ROWS, **shares):
    return mixture_of(rows, shares, dataset="two", at="recipe.r.shares")


def test_shares_are_kept_in_every_batch_and_small_parts_come_again():
    half = mixture(new=0.5, memory=0.5)
    assert (half.counts(6), half.steps(6)) == ([3, 3], 4)
    order = half.order(6, np.random.default_rng(0))
    assert order.shape == (4, 6)
    assert ((order < 12).sum(1) == 3).all()
    assert sorted(order[order < 12]) == list(range(12))
    assert sorted(np.bincount(order[order >= 12] - 12, minlength=5)) == [2, 2, 2, 3, 3]


def test_the_first_part_gets_what_rounding_leaves_and_the_order_of_shares_says_nothing():
    rows = {"a": range(50), "b": range(50, 90), "c": range(90, 100)}
    one, other = mixture(rows, a=0.5, b=0.3, c=0.2), mixture(rows, c=0.2, b=0.3, a=0.5)
    assert one.counts(16) == [8, 5, 3]
    orders = [m.order(16, np.random.default_rng(1)) for m in (one, other)]
    np.testing.assert_array_equal(*orders)
    assert orders[0].shape == (6, 16)
    of_part = np.searchsorted([50, 90], orders[0], side="right")
    assert all(np.bincount(row).tolist() == [8, 5, 3] for row in of_part)
    assert len({tuple(row) for row in of_part}) > 1  # not one part after the other


def test_images_and_labels_follow_the_order_of_a_mixture():
    data = replace(tagged(17), mixture=mixture(new=0.5, memory=0.5))
    order = data.order(6, np.random.default_rng(0))
    np.testing.assert_array_equal(order, data.mixture.order(6, np.random.default_rng(0)))
    for rows, batch in zip(order, pixels(data, order), strict=True):
        assert batch[:, 0, 0, 0].tolist() == rows.tolist()
    assert data.fingerprint != tagged(17).fingerprint
    assert data.fingerprint != replace(data, mixture=mixture(new=0.6, memory=0.4)).fingerprint


@pytest.mark.parametrize(
    ("rows", "shares", "sentence"),
    [
        (ROWS, {"new": 0.5, "memry": 0.5}, "shares.memry: two has no such part; there are new, "
         "memory. Did you mean 'memory'?"),
        (ROWS, {"new": 1.0}, "shares: no share of memory; expected one of each part of two"),
        ({}, {"new": 1.0}, "shares: two has no parts; expected a dataset that is a concatenation"),
    ],
)  # fmt: skip
def test_shares_of_what_is_no_part_are_refused(rows, shares, sentence):
    with pytest.raises(ConfigError) as caught:
        mixture(rows, **shares)
    assert str(caught.value).startswith("recipe.r.")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("shares", "batch", "counts"),
    [((0.99, 0.01), 8, "8 of new, 0 of memory"), ((0.9, 0.1), 16, "14 of new, 2 of memory")],
)
def test_shares_that_no_batch_can_have_are_refused(shares, batch, counts):
    new, memory = shares
    with pytest.raises(ConfigError, match=f"in a batch of {batch} they are {counts}; expected at"):
        mixture(new=new, memory=memory).order(batch, np.random.default_rng(0))


SIZES = [(20, 30, 3), (31, 17, 3), (16, 16, 3), (40, 22, 3), (25, 25, 3)]


def test_streamed_images_do_not_depend_on_the_number_of_threads_or_the_batch():
    source, _ = dataset(SIZES)
    one, four = (StreamedData(source, "train", 8, workers=n) for n in (1, 4))
    order = [np.array([3, 0]), np.array([4, 1]), np.array([2])]
    a = torch.cat(pixels(one, order, draw=5))
    b = torch.cat(pixels(four, [np.concatenate(order)], draw=5))
    assert a.shape == (5, 3, 8, 8)
    assert torch.equal(a, b)
    assert not torch.equal(a, torch.cat(pixels(one, order, draw=6)))


def test_every_streamed_row_has_a_window_of_its_own():
    source, stored = dataset([(20, 30, 3)] * 2)
    stored[1][:] = stored[0]
    (batch,) = pixels(StreamedData(source, "train", 8), [np.arange(2)], draw=5)
    assert not torch.equal(batch[0], batch[1])


def test_streamed_test_images_are_the_resized_center():
    source, stored = dataset([(32, 32, 3)])
    (batch,) = pixels(StreamedData(source, "test", 28), [np.array([0])])
    expected = stored[0][2:30, 2:30]  # 28 * 256 / 224 = 32: nothing is resized
    assert np.array_equal(batch[0].permute(1, 2, 0).numpy(), expected)


def test_streamed_grey_is_repeated_to_three_channels():
    source, _ = dataset([(20, 30, 1), (20, 20, 1)])
    for draw in (None, 1):
        (batch,) = pixels(StreamedData(source, "train", 8), [np.arange(2)], draw=draw)
        assert batch.shape == (2, 3, 8, 8)
        assert torch.equal(batch[:, 0], batch[:, 2])


def test_streamed_data_have_mixtures_too():
    source, _ = dataset(SIZES)
    mixed = mixture({"a": range(2), "b": range(2, 5)}, a=0.5, b=0.5)
    plain, data = StreamedData(source, "train", 8), StreamedData(source, "train", 8, mixture=mixed)
    order = data.order(4, np.random.default_rng(0))
    assert order.shape == (1, 4)
    assert sorted(row for row in order[0] if row < 2) == [0, 1]
    assert data.fingerprint != plain.fingerprint


def test_the_normalization_of_streamed_images_is_measured_on_their_centers():
    source, _ = dataset(SIZES)
    data = StreamedData(source, "train", 8)
    (batch,) = pixels(data, [np.arange(5)])
    expected = batch.double().mean((0, 2, 3)) / 255
    assert measured(data).mean == pytest.approx(expected.tolist())


def test_windows_lie_inside_the_image_and_have_the_areas_and_ratios_of_the_paper():
    rng = np.random.default_rng(0)
    drawn = [window(60, 80, 0.08, rng) for _ in range(500)]
    areas, ratios = [], []
    for top, left, height, width in drawn:
        assert 0 <= top <= 60 - height
        assert 0 <= left <= 80 - width
        areas.append(height * width / 4800)
        ratios.append(width / height)
    assert 0.07 < min(areas) < 0.15
    assert max(areas) > 0.85
    assert 0.7 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.4


def test_an_image_that_no_window_fits_gives_its_center():
    assert window(300, 10, 1.0, np.random.default_rng(0)) == (143, 0, 13, 10)


@pytest.mark.parametrize("area", [0.0, 1.5])
def test_a_smallest_window_that_is_no_share_is_refused(area):
    with pytest.raises(DataError, match="expected a share"):
        window(10, 10, area, np.random.default_rng(0))
