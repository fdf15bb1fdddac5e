import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imprint_bench.analysis.build import build
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.tables import TABLES
from imprint_bench.errors import StoreError
from imprint_bench.report import count_reasons, inline_svg, write_report

EVIL = "<script>alert(1)</script>"
COMMAND = "python -m imprint_bench +sweep=small"


class Page(HTMLParser):
    """What a browser would see: elements, links, and the text outside scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.script = ""
        self.policy = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on")]
        if tag == "a":
            self.links.append(given["href"])
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]

    def handle_data(self, data):
        if self.tags[-1:] == ["script"]:
            self.script += data
            self.tags.append("read")
        elif self.tags[-1:] != ["style"]:
            self.text += data


@pytest.fixture
def rows() -> pd.DataFrame:
    """Return two generators on four instances; k-means is better on three of them."""
    accuracy = {"kmeans": (0.9, 0.8, 0.7, 0.2), "mean": (0.6, 0.5, 0.4, 0.3)}
    return pd.DataFrame(
        [
            {
                "trial_id": f"{gen}{k}{i}",
                "status": "ok",
                "fm": "resnet18",
                "dataset": EVIL,
                "mapping": "none",
                "task": str(i),
                "n_shot": None,
                "seed": 0,
                "norm_pre": "l2",
                "gen": gen,
                "norm_post": "l2",
                "norm_inf": "l2",
                "agg": "max",
                "gen_k": k,
                "accuracy": values[i] - (0.05 if k == 5 else 0),
                "gen_seconds": 0.1,
            }
            for gen, values in accuracy.items()
            for k in ([5, 20] if gen == "kmeans" else [None])
            for i in range(4)
        ]
    ).astype({"gen_k": "Int64"})


def images(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a white and a black image of the dataset, which `montage` shows."""
    pair = [np.full((4, 4, 1), value, np.uint8) for value in (255, 0)]
    shown = pd.DataFrame({"dataset": EVIL, "source": None, "label": [0, 1], "row": [0, 1]})
    return shown.assign(name=[EVIL, None], n_classes=2, image=pair, problem=None)


def write(folder: Path, rows: pd.DataFrame, **kwargs: object) -> Path:
    collapse = rows[["fm", "dataset", "mapping", "task"]].drop_duplicates()
    collapse = collapse.assign(nc1=1.5, nc1_as_published=2.5)
    given = {"collapse": lambda: collapse, "samples": lambda: images(rows)}
    request = {
        "name": "small",
        "rows": rows,
        "tables": build(TABLES, dict.fromkeys(TABLES), rows, command=COMMAND, given=given),
        "figures": build(FIGURES, dict.fromkeys(FIGURES), rows, command=COMMAND, given=given),
        "dropped": pd.DataFrame({"reason": []}),
        "provenance": {"command": COMMAND, "time": "2026-01-02", "versions": {"numpy": "2.4.6"}},
    }
    return write_report(folder, **{**request, **kwargs})


def test_the_summary_says_what_was_run_and_what_came_out_in_three_sentences(rows, tmp_path):
    page = Page(write(tmp_path, rows))
    text = " ".join(page.text.split())
    assert "12 trials finished on 1 foundation model (resnet18), 1 dataset" in text
    assert "4 tasks (0, 1, 2, 3), with 1 seed." in text
    # Ranks of k-means 20: 1, 1, 1, 2; mean (0.9 + 0.8 + 0.7 + 0.2) / 4.
    assert (
        "The best average rank, 1.25, goes to the generator k-means 20 with norms l2/l2/l2" in text
    )
    assert "which reaches 65.00 ± 31.09 %." in text
    assert "Of 3 pairs of these methods" in text


def test_a_name_with_markup_is_shown_and_not_run(rows, tmp_path):
    page = Page(write(tmp_path, rows, name=EVIL, failed=[EVIL]))
    assert page.tags.count("script") == 1
    assert EVIL in page.text
    assert page.handlers == []


def test_only_the_script_of_the_page_may_run(rows, tmp_path):
    page = Page(write(tmp_path, rows))
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert "default-src 'none'" in page.policy


def test_the_page_is_self_contained_and_what_it_links_to_is_there(rows, tmp_path):
    path = write(tmp_path / "report", rows)
    page = Page(path)
    content = path.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(https?:)?//', content)
    assert not set(page.tags) & {"link", "img", "iframe", "object"}
    files = [link for link in page.links if not link.startswith("#")]
    data = {"critical_difference": 3, "accuracy_over_k": 1, "montage": 1, "nc1_over_d": 1}
    pictures = len(data) - 1  # there is no line of NC1 without mappings that join classes
    assert set(data) == set(FIGURES)
    assert len(files) == 3 * len(TABLES) + 3 * pictures + sum(data.values())
    assert all((path.parent / link).is_file() for link in files)
    anchors = [link[1:] for link in page.links if link.startswith("#")]
    assert all(f'id="{anchor}"' in content for anchor in anchors)


def test_ids_inside_pictures_are_their_own(rows, tmp_path):
    content = write(tmp_path, rows).read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', content)
    assert len(ids) == len(set(ids))
    assert all(f'id="{ref}"' in content for ref in re.findall(r'xlink:href="#([^"]+)"', content))


def test_inline_svg_drops_the_prolog_and_renames_references():
    svg = '<?xml version="1.0"?><svg width="100pt"><g id="a" clip-path="url(#b)"/></svg>'
    assert inline_svg(svg, "x") == (
        '<svg style="min-width: 100px" width="100pt"><g id="x-a" clip-path="url(#x-b)"/></svg>'
    )


def test_dropped_combinations_are_counted_by_reason():
    dropped = pd.DataFrame(
        {"reason": ["small", "large", "large"], "gen": ["mean", "fps", "mean"], "k": [1, 20, None]}
    )
    assert count_reasons(dropped) == [
        {"reason": "large", "count": 2, "example": "gen=fps, k=20.0"},
        {"reason": "small", "count": 1, "example": "gen=mean, k=1.0"},
    ]
    counted = count_reasons(dropped.assign(count=[5, 1, 1]))
    placed = count_reasons(pd.DataFrame({"reason": ["small"], "where": ["mnist all"]}))
    assert placed[0]["example"] == "mnist all"
    assert [entry["count"] for entry in counted] == [5, 2]


def test_failures_and_missing_results_are_told(rows, tmp_path):
    rows.loc[0, "status"] = "crashed"
    page = Page(write(tmp_path, rows, failed=["bank 3: out of memory."]))
    text = " ".join(page.text.split())
    assert "12 trials were planned, of which 1 crashed. 1 unit of work failed: see below." in text
    assert "There is no ranking, because results are missing" in text
    assert "bank 3: out of memory." in text
    assert f"The command: {COMMAND}" in text


def test_a_study_of_one_instance_has_a_sentence_in_place_of_the_test(rows, tmp_path):
    one = rows[rows["task"] == "0"]
    path = write(tmp_path, one)
    assert "There is too little to test" in Page(path).text
    assert not (tmp_path / "figures" / "critical_difference.svg").exists()


def test_provenance_shows_blocks_lists_and_the_command(rows, tmp_path):
    provenance = {"command": COMMAND, "configuration": "seeds: [0]\nk: 1", "versions": {"a_b": "1"}}
    content = write(tmp_path, rows, provenance=provenance).read_text(encoding="utf-8")
    assert f"<pre>{COMMAND}</pre>" in content
    assert "<pre>seeds: [0]\nk: 1</pre>" in content
    assert "<dt>a_b</dt>" in content


def test_pictures_of_images_are_in_the_page_and_small(rows, tmp_path):
    path = write(tmp_path, rows)
    page = Page(path)
    assert page.tags.count("image") == 1
    assert "img-src data:" in page.policy
    assert f"Images of {EVIL}" in page.text
    assert path.stat().st_size < 100_000
    names = [file.name for file in (tmp_path / "figures").glob("montage_*")]
    assert len(names) == 4
    assert not set("".join(names)) & set("<>()/ %")


def test_the_same_input_gives_the_same_page(rows, tmp_path):
    assert write(tmp_path / "a", rows).read_bytes() == write(tmp_path / "b", rows).read_bytes()


def test_a_file_in_place_of_the_folder_is_one_sentence(rows, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        write(tmp_path / "taken", rows)
