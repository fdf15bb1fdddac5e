import numpy as np
import pytest
import torch

from imprint_bench.errors import ConfigError
from imprint_bench.training.augmentation import AUGMENTATIONS, stage_of
from imprint_bench.training.preparation import (
    Normalization,
    Preparation,
    measured,
    normalization_of,
    normalized_once,
)
from imprint_bench.training.recipe import read_recipe
from imprint_bench.training.training_data import InMemoryData

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=64, shape=(3, 6, 5), dtype=torch.uint8):
    drawn = torch.randint(1, 255, (n, *shape), generator=seeded(9))
    return drawn.to(dtype)


def windows(image, padding):
    """Return every window of a padded image, one by one."""
    c, h, w = image.shape
    padded = torch.zeros(c, h + 2 * padding, w + 2 * padding, dtype=image.dtype)
    padded[:, padding : padding + h, padding : padding + w] = image
    steps = range(2 * padding + 1)
    return [padded[:, i : i + h, j : j + w] for i in steps for j in steps]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_crop_is_a_window_of_the_padded_image_and_all_windows_come_up(dtype):
    x = images(400, dtype=dtype)
    out = AUGMENTATIONS["crop"](x, seeded(), padding=1)
    assert out.shape == x.shape
    assert out.dtype == dtype
    found = []
    for before, after in zip(x, out, strict=True):
        which = [i for i, w in enumerate(windows(before, 1)) if torch.equal(w, after)]
        assert len(which) == 1
        found += which
    counts = np.bincount(found, minlength=9)
    assert counts.min() > 400 / 9 / 2


def test_a_flip_mirrors_about_half_of_the_images_and_leaves_the_others():
    x = images(400)
    out = AUGMENTATIONS["flip"](x, seeded())
    mirrored = (out == x.flip(3)).flatten(1).all(1)
    assert torch.equal(mirrored, ~(out == x).flatten(1).all(1))
    assert 150 < int(mirrored.sum()) < 250


@pytest.mark.parametrize(("p", "expected"), [(0.0, False), (1.0, True)])
def test_the_probability_of_a_flip_is_kept_at_its_ends(p, expected):
    x = images(20)
    assert torch.equal(AUGMENTATIONS["flip"](x, seeded(), p=p), x.flip(3) if expected else x)


@pytest.mark.parametrize("p", [3, 1.01, -0.1])
def test_a_flip_with_what_is_no_probability_is_refused(p):
    message = rf"^recipe\.augmentation\.flip\.p: expected a float from 0 to 1, got {p}\.$"
    with pytest.raises(ConfigError, match=message):
        read_recipe({"epochs": 1, "augmentation": {"flip": {"p": p}}})


def test_noise_has_the_deviation_that_is_asked_for():
    x = torch.zeros(64, 3, 20, 20)
    out = AUGMENTATIONS["noise"](x, seeded(), std=0.7)
    assert float(out.std()) == pytest.approx(0.7, rel=0.01)
    assert abs(float(out.mean())) < 0.01


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_every_augmentation_depends_on_its_generator_alone_and_keeps_the_shape(name):
    dtype = torch.uint8 if stage_of(name) == "pixels" else torch.float32
    params = {"std": 1.0} if name == "noise" else {}
    before = torch.random.get_rng_state()
    a, b, c = (
        AUGMENTATIONS[name](images(dtype=dtype), seeded(seed), **params) for seed in (1, 1, 2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.shape == images().shape
    assert torch.equal(torch.random.get_rng_state(), before)


def data_of(array):
    return InMemoryData(array, np.zeros(len(array), dtype=np.int64))


def test_the_measured_normalization_is_numpys_mean_and_deviation_of_each_channel():
    array = np.random.default_rng(0).integers(0, 256, (50, 4, 3, 3), dtype=np.uint8)
    found = measured(data_of(array))
    pixels = array.reshape(-1, 3) / 255
    assert found.mean == pytest.approx(pixels.mean(0))
    assert found.std == pytest.approx(pixels.std(0))


def test_a_channel_of_one_color_is_not_divided_by_zero():
    assert measured(data_of(np.full((3, 2, 2, 1), 51, np.uint8))).std == (1.0,)


def test_normalized_images_have_mean_0_and_deviation_1_and_floats_stay_as_they_are():
    array = np.random.default_rng(0).integers(0, 256, (50, 4, 3, 3), dtype=np.uint8)
    planes = torch.from_numpy(array).permute(0, 3, 1, 2)
    out = measured(data_of(array))(planes)
    assert out.dtype == torch.float32
    assert out.mean((0, 2, 3)).abs().max() < 1e-6
    assert (out.std((0, 2, 3), unbiased=False) - 1).abs().max() < 1e-6
    x = torch.rand(2, 3, 4, 3)
    assert Normalization((0.5,) * 3, (2.0,) * 3)(x) is x


def test_floats_are_trained_on_as_they_are():
    array = np.random.default_rng(0).normal(size=(50, 4, 3, 2)).astype(np.float32)
    found = normalization_of(read_recipe({"epochs": 1}), data_of(array))
    assert found == Normalization((0.0, 0.0), (1.0, 1.0))


def test_the_numbers_of_the_recipe_are_taken():
    raw = {"epochs": 1, "normalize": {"mean": [0.5], "std": [0.25]}}
    array = np.full((3, 2, 2, 1), 255, np.uint8)
    found = normalization_of(read_recipe(raw), data_of(array))
    planes = torch.from_numpy(array).permute(0, 3, 1, 2)
    assert torch.allclose(found(planes), torch.tensor(2.0))


def test_pixels_are_changed_before_the_normalization_and_noise_is_added_after_it():
    raw = {"epochs": 1, "augmentation": {"noise": {"std": 0.5}, "crop": {"padding": 2}}}
    normalization = Normalization((1.0,) * 3, (0.5,) * 3)
    prepare = Preparation.of(read_recipe(raw), normalization)
    x = images()
    out = prepare(x.clone(), seeded())
    rng = seeded()
    cropped = AUGMENTATIONS["crop"](x, rng, padding=2)
    expected = AUGMENTATIONS["noise"](normalization(cropped), rng, std=0.5)
    assert torch.equal(out, expected)


def test_images_are_normalized_once_where_that_changes_nothing():
    array = np.random.default_rng(0).integers(0, 256, (20, 4, 3, 3), dtype=np.uint8)
    data = data_of(array)
    noisy = read_recipe({"epochs": 1, "augmentation": {"noise": {"std": 0.5}}})
    cropped = read_recipe({"epochs": 1, "augmentation": {"crop": {"padding": 1}}})
    normalization = measured(data)
    once = normalized_once(data, noisy, normalization)
    rows = [np.array([3, 1, 1])]
    (a,), (b,) = (tuple(d.batches(rows, device=CPU, draw=None)) for d in (once, data))
    assert torch.equal(a, normalization(b))
    assert normalized_once(data, cropped, normalization) is data


@pytest.mark.parametrize("raw", [{}, {"augmentation": {"noise": {"std": 0.5}}}])
def test_preparing_changes_no_stored_image(raw):
    array = np.random.default_rng(0).integers(0, 256, (20, 4, 3, 1), dtype=np.uint8)
    recipe = read_recipe({"epochs": 1} | raw)
    data = data_of(array.copy())
    normalization = measured(data)
    data = normalized_once(data, recipe, normalization)
    rows = [np.arange(20)] * 2
    prepare = Preparation.of(recipe, normalization)
    first, second = (
        prepare(batch, seeded()) for batch in data.batches(rows, device=CPU, draw=None)
    )
    assert torch.equal(first, second)
