import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from imprint_bench.analysis.drawing import write_drawing
from imprint_bench.analysis.montage import grid, montage, reduced, thumbnail

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def frame(lines, **facts):
    """Return samples of the dataset `some`: `lines` maps a label to its images."""
    records = [
        {"dataset": "some", "source": None, "label": label, "name": None, "image": image}
        for label, images in lines.items()
        for image in images
    ]
    made = pd.DataFrame(records).assign(n_classes=len(lines), problem=None, **facts)
    return made.assign(row=range(len(made)))


def rows_of(*datasets):
    return pd.DataFrame({"dataset": datasets})


def embedded(svg):
    """Return the pictures inside an SVG file."""
    found = re.findall(r'xlink:href="data:image/png;base64,\s*([^"]+)"', svg)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def test_images_lie_line_by_line_with_white_between_them():
    a, b, c = noise(32, 32, 3), noise(32, 32, 3), noise(32, 32, 3)
    out = grid([[a, b], [c]])
    assert out.shape == (32 + 2 + 32, 32 + 2 + 32, 3)
    np.testing.assert_array_equal(out[:32, :32], a)
    np.testing.assert_array_equal(out[:32, 34:], b)
    np.testing.assert_array_equal(out[34:, :32], c)
    assert (out[34:, 32:] == 255).all()
    assert (out[32:34] == 255).all()


@pytest.mark.parametrize(("side", "height"), [(8, 32), (16, 32), (12, 24), (28, 28), (96, 32)])
def test_small_images_are_repeated_and_none_is_higher_than_32_pixels(side, height):
    image = noise(side, side, 1)
    out = grid([[image]])
    assert out.shape == (height, height, 3)
    if side <= 32:
        times = height // side
        np.testing.assert_array_equal(out, image.repeat(times, 0).repeat(times, 1).repeat(3, 2))


def test_a_large_image_is_averaged_over_blocks():
    image = noise(96, 96, 3)
    blocks = [[image[y : y + 3, x : x + 3] for x in range(0, 96, 3)] for y in range(0, 96, 3)]
    means = [[block.mean(axis=(0, 1)) for block in line] for line in blocks]
    np.testing.assert_array_equal(thumbnail(image, 32), np.round(means))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((64, 32), (32, 16)), ((50, 100), (32, 64)), ((40, 400), (32, 64)), ((300, 2), (32, 1))],
)
def test_images_keep_their_shape_but_none_is_wider_than_twice_its_height(shape, size):
    out = thumbnail(np.zeros((*shape, 1), np.uint8), 32)
    assert out.shape == (*size, 3)
    assert (out == 0).any()
    if shape == (40, 400):  # white above and below
        assert (out[0] == 255).all()
        assert (out[-1] == 255).all()


def test_a_picture_that_is_small_keeps_its_colors_and_a_large_one_has_fewer():
    flat = np.repeat(noise(4, 4, 3), 8, axis=0)
    kept, n_levels = reduced(flat)
    assert n_levels == 256
    np.testing.assert_array_equal(kept, flat)
    rough = noise(338, 338, 3)
    less, n_levels = reduced(rough)
    assert len(np.unique(less)) == n_levels < 256
    assert np.abs(less.astype(int) - rough).max() <= 255 / (n_levels - 1) / 2 + 1


def test_ten_times_ten_photos_make_the_page_less_than_150_kilobytes_larger():
    walk = RNG.normal(size=(100, 32, 32, 3)).cumsum(axis=1).cumsum(axis=2)
    photos = (128 + 12 * walk + RNG.normal(scale=20, size=walk.shape)).clip(0, 255).astype(np.uint8)
    lines = {label: list(photos[10 * label : 10 * label + 10]) for label in range(10)}
    (drawing,) = montage(rows_of("some"), frame(lines))
    svg = io.BytesIO()
    drawing.picture.savefig(svg, format="svg")
    assert 50_000 < len(svg.getvalue()) < 150_000
    assert "levels of red, green and blue" in drawing.caption


def test_the_picture_in_the_svg_is_the_grid_itself(tmp_path):
    lines = {label: [noise(8, 8, 1) for _ in range(3)] for label in (0, 1)}
    (drawing,) = montage(rows_of("some"), frame(lines))
    svg = next(p for p in write_drawing(drawing, tmp_path) if p.suffix == ".svg").read_text()
    (picture,) = embedded(svg)
    np.testing.assert_array_equal(picture[..., :3], grid(list(lines.values())))


def test_every_line_has_its_label_beside_it_within_the_figure():
    names = ["cat", "a name that is much longer than there is room for", "<b>$x$"]
    samples = frame({label: [noise(8, 8, 3)] for label in range(3)})
    samples["name"] = names
    (drawing,) = montage(rows_of("some"), samples)
    (axes,) = drawing.picture.axes
    assert [text.get_text() for text in axes.texts] == [
        "cat",
        "a name that is much longer …",
        "<b>$x$",
    ]
    canvas = FigureCanvasAgg(drawing.picture)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    picture = axes.get_window_extent()
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= picture.x0
    for i, box in enumerate(boxes):
        center = 1 - (box.y0 + box.y1) / 2 / picture.height
        assert center == pytest.approx((i + 0.5) / 3, abs=0.05)


def test_the_caption_says_what_the_rows_are():
    classes = frame({0: [noise(4, 4, 1)] * 3, 5: [noise(4, 4, 1)] * 2})
    (drawing,) = montage(rows_of("some"), classes)
    assert drawing.caption == "A row for each of 2 classes: its first 3 training images."
    (drawing,) = montage(rows_of("some"), classes.assign(n_classes=1000))
    assert drawing.caption.startswith("A row for each of 2 of 1,000 classes: ")
    sources = classes.assign(source=["a"] * 3 + ["b"] * 2, label=7, name="seven")
    (drawing,) = montage(rows_of("some"), sources)
    assert drawing.caption == (
        "A row for each of 2 sources: the first 3 training images of class seven."
    )
    assert [text.get_text() for text in drawing.picture.axes[0].texts] == ["a", "b"]


def test_there_is_a_montage_per_dataset_of_the_rows_and_its_csv_names_the_images(tmp_path):
    first = frame({0: [noise(4, 4, 1)] * 2})
    samples = pd.concat([first, first.assign(dataset="my photos"), first.assign(dataset="else")])
    drawings = montage(rows_of("some", "my photos"), samples)
    assert [d.name for d in drawings] == ["montage_some", "montage_my~20photos"]
    assert drawings[1].title == "Images of my photos"
    names = {path.name for path in write_drawing(drawings[1], tmp_path)}
    assert "montage_my~20photos.csv" in names
    assert drawings[0].data[""]["row"].tolist() == [0, 1]


def test_a_dataset_without_images_has_a_sentence():
    samples = frame({0: [None]}).assign(problem="my.npz: no such file; put it there.", image=None)
    (drawing,) = montage(rows_of("some"), samples)
    assert drawing.picture is None
    assert drawing.finding == "There is no montage: my.npz: no such file; put it there."
