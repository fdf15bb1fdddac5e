"""Which sweeps the tables and figures of a report are made from: from command line to page."""

from pathlib import Path

import pytest

from imprint_bench.__main__ import main
from imprint_bench.command_line import check, parse
from imprint_bench.composing import Job, compose
from imprint_bench.errors import ConfigError
from imprint_bench.report_sources import command_for

PAPERS = ["resnet18", "resnet50", "vit_b_16", "swin_b"]
SMALL = """# @package _global_
defaults:
  - override /fm: [pixels]
  - override /task: [all, short, odd, even]
  - override /norm: l2
  - override /gen: [{gens}]
  - override /agg: [max]
name: {name}
seeds: [0]
gen: {{kmeans: {{k: [5, 20]}}}}
"""
STUDY = """# @package _global_
defaults:
  - override /fm: [random_conv]
  - override /table: [table2]
  - override /figure: [figure5]
name: mine
table: {table2: {sweep: small/a}}
figure: {figure5: {sweep: [small/a, small/b]}}
sweeps: {small/b: ["task=[all,short,odd]"]}
"""


def composed(*arguments: str) -> Job:
    options = parse(arguments)
    check(options)
    (job,) = compose(options)
    return job


@pytest.fixture
def mine(tmp_path) -> str:
    """Return an option for a folder with two sweeps and a study of both."""
    sweeps, studies = tmp_path / "conf" / "sweep" / "small", tmp_path / "conf" / "study"
    sweeps.mkdir(parents=True)
    studies.mkdir()
    (sweeps / "a.yaml").write_text(SMALL.format(name="small/a", gens="mean, kmeans"))
    (sweeps / "b.yaml").write_text(SMALL.format(name="small/b", gens="mean, kmeans, random"))
    (studies / "mine.yaml").write_text(STUDY)
    return f"--config-dir={tmp_path / 'conf'}"


def test_a_table_alone_is_computed_from_the_sweep_that_its_yaml_names():
    job = composed("table=[table2]")
    (part,) = job.parts
    assert part.sweep == part.raw["name"] == "paper/gen"
    assert list(part.raw["fm"]) == PAPERS
    assert list(job.raw["table"]) == ["table2"]
    assert job.raw["figure"] == part.raw["figure"] == part.raw["table"] == {}
    assert job.raw["name"] == "table2"


def test_what_is_chosen_for_the_report_is_chosen_for_each_of_its_sweeps():
    job = composed("table=[table2,table5]", "fm=[pixels]", "n_jobs=1", "name=x")
    assert [part.sweep for part in job.parts] == ["paper/gen", "paper/agg"]
    assert all(list(part.raw["fm"]) == ["pixels"] for part in job.parts)
    assert all(part.raw["n_jobs"] == 1 for part in job.parts)
    assert job.raw["name"] == "x"


def test_a_sweep_that_is_named_is_where_every_table_comes_from():
    job = composed("+sweep=quickstart", "table=[table2]")
    (part,) = job.parts
    assert part.sweep == ""
    assert list(part.raw["table"]) == ["table2"]
    assert list(part.raw["figure"]) == ["critical_difference", "montage"]


def test_a_study_chooses_for_its_sweeps_and_what_it_says_of_one_goes_before_the_rest(mine):
    job = composed(mine, "+study=mine")
    tasks = {part.sweep: list(part.raw["task"]) for part in job.parts}
    assert tasks == {"small/a": ["all", "short", "odd", "even"], "small/b": ["all", "short", "odd"]}
    assert all(list(part.raw["fm"]) == ["random_conv"] for part in job.parts)
    job = composed(mine, "+study=mine", "task=[even]", "fm=[pixels]")
    tasks = {part.sweep: list(part.raw["task"]) for part in job.parts}
    assert tasks == {"small/a": ["even"], "small/b": ["all", "short", "odd"]}
    assert all(list(part.raw["fm"]) == ["pixels"] for part in job.parts)


def test_a_part_of_a_study_has_a_page_of_its_own(mine):
    def name(*arguments: str) -> str:
        return composed(*arguments).raw["name"]

    assert name(mine, "+study=mine") == "mine"
    assert name(mine, "+study=mine", "table=[table2]") == "mine-table2"
    assert name("+study=paper", "table=[]") == "paper-figures"
    assert name("figure=[figure11a,figure11b]") == "figure11a-figure11b"
    assert name("table=[table1,table2,table3,table4]") == "tables"
    assert name("table=[table2]", "figure=[figure5,figure7,figure8]") == "selection"
    assert name(mine, "+study=mine", "table=[table2]", "name=other") == "other"


def test_parameters_of_methods_go_to_the_sweeps_that_have_them():
    job = composed("table=[table2,table5]", "agg.mnn.metric=[euclidean]", "gen.kmeans.k=[20]")
    gen, agg = (part.raw for part in job.parts)
    assert agg["agg"]["mnn"]["metric"] == ["euclidean"]
    assert "mnn" not in gen["agg"]
    assert gen["gen"]["kmeans"]["k"] == agg["gen"]["kmeans"]["k"] == [20]
    assert "agg.mnn.metric=[euclidean]" in job.command
    assert "metric:\n    - euclidean\n" in job.parts[1].configuration.replace("      -", "    -")


def test_what_is_added_is_added_to_every_sweep():
    job = composed("table=[table2,table5]", "task=[all]", "+task.mine.classes=[3,5]")
    tasks = [part.raw["task"] for part in job.parts]
    assert tasks == [{"all": {"classes": "all"}, "mine": {"classes": [3, 5]}}] * 2


def test_the_command_of_a_part_has_the_parameters_of_no_other_part():
    command = "python -m imprint_bench table=[table2] table.table2.k=10 figure.figure5.rope=0.1"
    again = command_for(command, "table", "table2", of_parts=True)
    assert again == "python -m imprint_bench table.table2.k=10 table=[table2]"
    again = command_for(command, "table", "table3", of_parts=True)
    assert again == "python -m imprint_bench table=[table3]"
    alone = command_for("python -m imprint_bench +sweep=a", "table", "norms", of_parts=False)
    assert alone == "python -m imprint_bench +sweep=a table=[norms] figure=[]"


def test_who_names_tables_of_a_study_gets_no_figures(mine):
    job = composed(mine, "+study=mine", "table=[table2]")
    assert (list(job.raw["table"]), job.raw["figure"]) == (["table2"], {})
    assert [part.sweep for part in job.parts] == ["small/a"]


def test_a_name_on_the_command_line_leaves_out_what_the_file_of_a_study_adds(mine):
    job = composed(mine, "+study=mine", "figure=[figure7]", "figure.figure7.sweep=small/a")
    assert (list(job.raw["figure"]), job.raw["table"]) == (["figure7"], {})


def test_weights_that_are_not_there_get_one_sentence_with_the_sweep(tmp_path, capsys, shared_data):
    place = [f"paths.results={tmp_path / 'results'}", f"paths.data={shared_data}"]
    code = run("table=[table2]", "stages=[plan]", f"paths.weights={tmp_path}", *place)
    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith(f"paper/gen: {tmp_path}")
    assert "no such file" in said


def test_a_store_without_a_whole_instance_makes_a_page(mine, tmp_path, capsys):
    place = [f"paths.results={tmp_path / 'results'}", "n_jobs=1"]
    assert run(mine, "+study=mine", *place) == 0
    assert run(mine, "+study=mine", *place, "seeds=[0,8]", "stages=[report]", "name=more") == 1
    assert "results are missing for table2, figure5" in capsys.readouterr().err
    assert (tmp_path / "results" / "reports" / "more" / "index.html").is_file()


def test_no_tables_of_a_study_leaves_its_figures():
    job = composed("+study=mobilenet_v1", "table=[]", "figure=[figure5]")
    assert (job.raw["table"], list(job.raw["figure"])) == ({}, ["figure5"])
    job = composed("+study=mobilenet_v1", "table=[]")
    assert job.raw["table"] == {}
    assert len(job.raw["figure"]) > 10


def test_every_table_and_figure_of_the_paper_has_a_make_target():
    lines = (Path(__file__).parents[1] / "Makefile").read_text().splitlines()
    heads = [line.partition(":")[0] for line in lines if ": install" in line]
    targets = {name for head in heads for name in head.split()}
    job = composed("+study=paper")
    wanted = {*job.raw["table"], *job.raw["figure"], "figure11", "figureA6", "tables", "figures"}
    assert wanted <= targets


def test_the_published_study_and_ours_compose_and_name_every_table_and_figure_of_the_paper():
    tables = {f"table{x}" for x in ("1", "2", "3", "4", "5", "6", "A1", "A2", "A3", "A5")}
    tables |= {"sectionA5"}
    diagrams = {f"figure{x}" for x in ("2", "5", "7", "8", "9", "A1", "A2", "A3")}
    lines = {f"figure{x}" for x in ("6", "10", "11a", "11b", "12", "A4", "A6a", "A6b", "A7")}
    figures = diagrams | lines | {"runtimes"}
    for study in ("paper", "mobilenet_v1"):
        job = composed(f"+study={study}")
        assert tables <= set(job.raw["table"])
        assert set(job.raw["figure"]) == figures
        fms = {tuple(part.raw["fm"]) for part in job.parts}
        assert len(fms) == 1
        assert (fms == {tuple(PAPERS)}) == (study == "paper")
    datasets = {part.sweep: list(part.raw["dataset"]) for part in job.parts}
    assert datasets["paper/nc_imagenet"] == datasets["paper/nc_imagenet_ls"] == ["imagenet32"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table=[table2,norms]"], "table.norms: names no sweep"),
        (["table=[table2]", "figure=[montage]"], "figure.montage: names no sweep"),
        (["table=[table2]", "table.table2.sweep=paper/gem"], "Did you mean 'paper/gen'?"),
        (["table=[table2]", "table.table2.sweep=7"], "table.table2.sweep: expected the name"),
        (["table=[table2]", "table.table2.sweep=[]"], "table.table2.sweep: expected the name"),
        (["+study=papr"], "Did you mean 'paper'?"),
        (["+study=paper", "table=[]", "figure=[]"], "+study=paper: no table or figure of it"),
        (["table=[table2]", "gen.kmens.k=[1]"], "paper/gen has gen.kmens. Did you mean 'kmeans'?"),
        (["+study=paper", "+sweep=quickstart"], "+study=paper: a study has sweeps of its own"),
        (["table=[table2]", "gen.kmeans.kk=[1]"], "gen.kmeans.kk: no such key; there are k."),
        (["table=[tabel2]"], "Did you mean 'table2'?"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, sentence):
    with pytest.raises(ConfigError, match=r".") as error:
        composed(*arguments)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sweep_of_a_study_that_is_not_there_gets_one_sentence(mine, tmp_path):
    path = tmp_path / "conf" / "study" / "mine.yaml"
    path.write_text(path.read_text().replace("sweeps: {small/b:", "sweeps: {small/c:"))
    with pytest.raises(ConfigError, match=r"no choice 'small/c'.* Did you mean 'small/[ab]'\?"):
        composed(mine, "+study=mine")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code


def test_sweeps_of_one_table_with_different_seeds_are_refused_before_the_run(
    mine, tmp_path, capsys
):
    path = tmp_path / "conf" / "sweep" / "small" / "b.yaml"
    path.write_text(path.read_text().replace("seeds: [0]", "seeds: [1]"))
    place = [f"paths.results={tmp_path / 'results'}", "n_jobs=1"]
    assert run(mine, "+study=mine", *place) == 2
    said = capsys.readouterr().err
    assert "figure.figure5: its sweeps have different seeds (small/a [0], small/b [1])" in said
    assert not (tmp_path / "results" / "rows").exists()


def test_a_mistake_in_a_sweep_of_a_report_names_the_sweep(mine, tmp_path, capsys):
    path = tmp_path / "conf" / "sweep" / "small" / "b.yaml"
    path.write_text(path.read_text().replace("k: [5, 20]", "k: [0]"))
    assert run(mine, "+study=mine", f"paths.results={tmp_path / 'results'}") == 2
    assert capsys.readouterr().err.startswith("small/b: gen.kmeans.k: expected an int of at least")


def test_a_study_runs_its_sweeps_and_makes_one_report_of_all(mine, tmp_path, capsys):
    place = [f"paths.results={tmp_path / 'results'}", "n_jobs=1"]
    assert run(mine, "+study=mine", *place, "stages=[report]") == 1
    said = capsys.readouterr()
    assert "results are missing for table2, figure5" in said.err
    assert "+study=mine" in said.out
    assert "table=[table2]" in said.out

    assert run(mine, "+study=mine", *place) == 0
    folder = tmp_path / "results" / "reports" / "mine"
    page = (folder / "index.html").read_text()
    assert "Table 2: generators" in page
    assert "Figure 5: generators" in page
    table2 = (folder / "tables" / "table2.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table2[1:]] == ["k-means", "mean"]
    figure5 = (folder / "figures" / "figure5_groups.csv").read_text()
    assert "random 20" not in figure5  # it exists on three of the four tasks only, as is said
    assert "exist on some of the instances only and are left out" in page
    assert "Not in view: kmedoids 20, cov_max 20, random 20 and fps 20." in page
    assert (folder / "figures" / "figure5.svg").is_file()
    capsys.readouterr()
    assert run(mine, *place, "+study=mine", "table=[table2]", "stages=[report]", "name=one") == 0
    assert "report written" in capsys.readouterr().out
    assert (tmp_path / "results" / "reports" / "one" / "tables" / "table2.csv").is_file()
