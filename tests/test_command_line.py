import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imprint_bench import study
from imprint_bench.command_line import choices, conf_folder, for_hydra, parse
from imprint_bench.composing import compose, labels_of
from imprint_bench.config import read
from imprint_bench.errors import DataError

QUICK = "+sweep=quickstart"
# A sweep of nine trials that takes no time.
SMALL = [
    *(QUICK, "fm=[pixels]", "n_shot=[20]", "task=[short]", "gen=[mean]", "seeds=[0]"),
    *("figure=[]", "n_jobs=1"),
]


pytestmark = pytest.mark.usefixtures("elsewhere")  # every command in an empty folder


def refused(result: tuple[int, str, str]) -> str:
    """Return the one sentence of a command that was refused before it wrote anything."""
    code, out, err = result
    assert (code, out) == (2, ""), err
    assert err.endswith("\n")
    sentence = err[:-1]
    assert "\n" not in sentence, sentence
    assert sentence[-1] in ".?"
    assert not list(Path.cwd().iterdir())
    return sentence


MISTAKES = {
    "+sweep=quikstart": "sweep: no choice 'quikstart'; there are .*. Did you mean 'quickstart'?",
    "sweep=quickstart": "sweep=quickstart: sweep is chosen by adding it; write +sweep=quickstart.",
    f"{QUICK} fm=[pixel]": "fm: no choice 'pixel'; there are .*. Did you mean 'pixels'?",
    f"{QUICK} fm=pixel": "fm: no choice 'pixel'; there are .*. Did you mean 'pixels'?",
    f"{QUICK} dataset=[digit]": "dataset: no choice 'digit'; there are .*'digits'?",
    f"{QUICK} gen=[kmean]": "gen: no choice 'kmean'; there are .*. Did you mean 'kmeans'?",
    f"{QUICK} agg=[mn]": "agg: no choice 'mn'; there are max, mnn. Did you mean 'mnn'?",
    f"{QUICK} norm=nin": "norm: no choice 'nin'; there are l2, nine, none. Did you mean 'nine'?",
    f"{QUICK} table=[norm]": "table: no choice 'norm'; there are .*. Did you mean 'norms'?",
    f"{QUICK} gen=null": "gen: no choice None; there are .*.",
    f"{QUICK} gen=[mean,mean]": "gen: 'mean' stands there twice; remove one.",
    f"{QUICK} gen=[]": "gen: nothing chosen; choose at least one with gen=[NAME].",
    f"{QUICK} njobs=3": "njobs: no such key; there are .*. Did you mean 'n_jobs'?",
    f"{QUICK} gen.kmeans.kk=3": "gen.kmeans.kk: no such key; there are k. Did you mean 'k'?",
    f"{QUICK} +gen.kmeans.kk=3": "gen.kmeans.kk: no such parameter; gen.kmeans takes k.*'k'?",
    f"{QUICK} gen=[mean] gen.fps.k=3": "gen.fps: no such key; there are mean.",
    f"{QUICK} +zzz=3": "zzz: no such key; there are name, fm, dataset, .*.",
    f"{QUICK} +sweep.kk=3": "sweep: its keys do not belong under sweep; .* such as seeds=[0].",
    f"{QUICK} n_jobs=two": "n_jobs: expected int, got 'two'.",
    f"{QUICK} seeds=3": "seeds: expected a list of int, got 3.",
    f"{QUICK} seeds=[a]": "seeds[0]: expected an int of at least 0, got 'a'.",
    f"{QUICK} seeds=[]": "seeds: an empty list leaves nothing to run; give at least one value.",
    f"{QUICK} gen.kmeans.k=[five]": "gen.kmeans.k: expected an int of at least 1, got 'five'.",
    f"{QUICK} report.alpha=2": "report.alpha: expected a number in (0, 1), got 2.",
    f"{QUICK} stages=[rum]": "stages[0]: expected one of .*, got 'rum'. Did you mean 'run'?",
    f"{QUICK} name=../../out": "name: '../../out' cannot be a folder's name; .*.",
    f"{QUICK} agg=[mnn] agg.mnn.m=[9999]": "agg.mnn.m: 9999 is larger than the number of proxies "
    "of every task; choose m <= 1347.",
    f"{QUICK} n_shot=[1] gen=[kmeans] gen.kmeans.k=5": "quickstart: no trial is left to run (k is "
    "larger than n_shot).",
    f"{QUICK} task.all.classes=[0,17]": "task all on digits: class 17 has no training rows; .*.",
    f"{QUICK} dataset.digits.test_size=2": "dataset.digits.test_size: 2; expected a number between "
    "0 and 1",
    f"{QUICK} mapping=[d_in_1]": "mapping.d_in_1.d: .* there are 10; choose d <= 1.",
    f"{QUICK} table=[norms] +table.norms.zzz=3": "table.norms.zzz: no such parameter; .*.",
    f"{QUICK} fm=[": "fm=[: cannot be read; write KEY=VALUE, lists as KEY=[A,B], "
    "mappings as 'KEY={A: B}', and a value with a comma as \"KEY='VALUE'\".",
    f"{QUICK} quickstart": "quickstart: cannot be read; write KEY=VALUE, .*.",
    f"{QUICK} =3": "=3: no key before the '='; write KEY=VALUE.",
    f"{QUICK} ~gen": "~gen: Could not delete 'gen'.*",
    f"{QUICK} gen.kmeans.k={{a:3}}": "gen.kmeans.k: .*.",
    f"{QUICK} fm=pixels,random_conv": "fm=pixels,random_conv: several values; write fm=[A,B] .*.",
    f"{QUICK} paths.data=${{paths.nope}}": "paths.data: Interpolation key .* not found; .*.",
    f"{QUICK} --nope": "command line: unrecognized arguments: --nope; --help lists the options.",
    f"{QUICK} --config-name x": "command line: unrecognized arguments: --config-name x; .*.",
    f"{QUICK} --config-dir": "command line: argument --config-dir/-cd: expected one argument; .*.",
    "--cfg all_of_it": "command line: argument --cfg: invalid choice: 'all_of_it' .*.",
    "--experimental-rerun x.pickle": "command line: unrecognized arguments: .*.",
    f"--config-dir nope {QUICK}": "--config-dir: 'nope' is no folder; name one with YAML files.",
    f"-m {QUICK} fm=pixels,nope": "fm: no choice 'nope'; there are .*.",
    f"-m {QUICK} seeds=[0],[a]": "seeds=-a-: seeds[0]: expected an int of at least 0, got 'a'.",
    f"{QUICK} hydra/launcher=joblib": "hydra/launcher: no choice 'joblib'; there are basic.",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_gets_one_sentence_before_anything_is_written(run, line):
    sentence = refused(run(*line.split()))
    pattern = re.escape(MISTAKES[line]).replace(r"\.\*", ".*")
    assert re.match(pattern, sentence), sentence


def test_a_missing_dataset_is_named_with_where_it_was_looked_for_and_how_to_get_it(run, elsewhere):
    sentence = refused(run(QUICK, "dataset=[mnist]", "embed.download=false"))
    file = f"{elsewhere}/data/MNIST/raw/train-images-idx3-ubyte"
    assert sentence.startswith(f"{file}: no such file")
    assert f"fetch it with: curl -L -o {file}.gz https://" in sentence
    assert "paths.data=FOLDER" in sentence


def test_a_missing_network_is_named_with_where_it_was_looked_for(run, elsewhere):
    sentence = refused(run(QUICK, "fm=[mobilenet_v1_025]"))
    assert sentence.startswith(f"{elsewhere}/data/litert/mobilenet_v1_025_embedding.tflite: no ")
    assert "paths.data=FOLDER" in sentence


def test_precomputed_embeddings_that_are_not_there(run, elsewhere):
    sentence = refused(run(QUICK, "fm=[precomputed]", "dataset=[precomputed]"))
    assert f"{elsewhere}/data/precomputed.npz: no such file; write it with numpy.savez" in sentence


def npz(path: Path, **changed: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 60), ("test", 30)):
        arrays[f"{split}_embeddings"] = rng.normal(size=(n, 5)).astype(np.float32)
        arrays[f"{split}_labels"] = np.arange(n) % 3
    np.savez(path, **arrays | changed)
    return path


WRONG = np.ones((60, 5), dtype=np.float32)
ARRAYS = [
    ({"train_labels": np.arange(59) % 3}, "59 train_labels for 60 train_embeddings; expected one"),
    ({"train_labels": np.array([None] * 60)}, "holds Python objects (a pickle), which are never"),
    ({"train_embeddings": WRONG.astype(object)}, "holds Python objects (a pickle), which are"),
    ({"train_labels": np.arange(60) / 3}, "float64 such as 0.0; expected whole numbers from 0 on"),
    ({"test_embeddings": np.ones((30, 4))}, "have 5 values per row, test_embeddings 4; expected"),
    ({"train_embeddings": WRONG[0]}, "train_embeddings is float32 of shape (5,); expected"),
]


@pytest.mark.parametrize(("arrays", "said"), ARRAYS, ids=[m[1][:30] for m in ARRAYS])
def test_precomputed_embeddings_that_do_not_fit_are_refused(run, tmp_path, arrays, said):
    file = npz(tmp_path / "x.npz", **arrays)
    sentence = refused(
        run(QUICK, "fm=[precomputed]", "dataset=[precomputed]", f"fm.precomputed.file={file}")
    )
    assert str(file) in sentence
    assert said in sentence


@pytest.mark.parametrize(("bad", "kind"), [(np.nan, "NaN"), (np.inf, "infinite values")])
def test_precomputed_embeddings_that_are_not_finite_are_refused_before_the_first_trial(
    run, tmp_path, elsewhere, bad, kind
):
    embeddings = WRONG.copy()
    embeddings[17, 2] = bad
    file = npz(tmp_path / "x.npz", train_embeddings=embeddings)
    code, _, err = run(
        *(QUICK, "fm=[precomputed]", "dataset=[precomputed]", "task=[all]", "n_jobs=1"),
        f"fm.precomputed.file={file}",
    )

    assert code == 2
    assert err.startswith(
        f"embeddings precomputed/precomputed/train: 1 of 60 rows contain {kind} (first: row 17);"
    )
    assert err.count("\n") == 1
    assert not list(elsewhere.rglob("*.parquet"))
    assert not list(elsewhere.rglob("*.npy"))


def test_precomputed_embeddings_run_from_file_to_report(run, tmp_path, elsewhere):
    file = npz(tmp_path / "x.npz")
    code, out, err = run(
        *("fm=[precomputed]", "dataset=[precomputed]", "gen=[mean]", "n_jobs=1", "figure=[]"),
        f"fm.precomputed.file={file}",
    )
    assert (code, err) == (0, "")
    assert (elsewhere / "results/reports/custom/index.html").is_file()
    assert "27 trials" in out


def test_a_file_where_the_results_folder_should_be(run, tmp_path):
    (tmp_path / "results").write_text("here")
    code, _, err = run(*SMALL, f"paths.results={tmp_path}/results")
    assert code == 2
    assert re.match(rf"{tmp_path}/results.*: a file stands where a folder is needed; .*\n$", err)
    assert err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_results_folder_that_cannot_be_written(run, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    code, _, err = run(*SMALL, f"paths.results={folder}/results")
    assert code == 2
    assert re.match(rf"{folder}.*: not writable; .* paths.results=FOLDER.\n$", err)


def test_a_results_folder_that_the_system_refuses(run, monkeypatch, tmp_path):
    make = Path.mkdir

    def refuse(self: Path, *args: object, **options: object) -> None:
        if "results" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        make(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        code, _, err = run(*SMALL, f"paths.results={tmp_path}/results")
    assert code == 2
    assert re.match(rf"{tmp_path}/results.*: not writable; .* paths.results=FOLDER.\n$", err)


# --- a folder of the user's own


@pytest.fixture
def own(tmp_path):
    """Return a function that writes a YAML file into a folder of the user's own."""
    folder = tmp_path / "own"

    def write(name: str, text: str) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return f"--config-dir={folder}"

    return write


def test_a_sweep_of_ones_own_chooses_and_overrides_from_any_folder(own):
    own("gen/few_means.yaml", "kmeans: {k: [2, 3]}\n")
    own("fm/dim.yaml", "dim:\n  random_conv: {width: 4}\n")
    folder = own(
        "sweep/mine.yaml",
        "# @package _global_\ndefaults:\n  - override /gen: [mean, few_means]\n"
        "  - override /fm: [dim]\nname: mine\nnorm: {post: [l2]}\n",
    )
    (job,) = compose(parse(["+sweep=mine", folder, "seeds=[4]"]))
    config = read(job.raw)

    assert config.name == "mine"
    assert [m.name for m in config.gens] == ["mean", "kmeans"]
    assert [p["k"] for p in config.gens[1].grid] == [2, 3]
    assert (config.fms[0].name, config.fms[0].kind) == ("dim", "random_conv")
    assert config.norms.post == ("l2",)
    assert config.seeds == (4,)
    assert folder.split("=")[1] in job.command


def test_choices_of_the_users_folder_are_offered(run, own):
    folder = own("gen/few_means.yaml", "kmeans: {k: [2, 3]}\n")
    sentence = refused(run(folder, "gen=[few_mean]"))
    assert sentence.endswith("Did you mean 'few_means'?")


def test_a_file_that_ours_would_hide_is_refused(run, own):
    folder = own("gen/kmeans.yaml", "kmeans: {k: [2, 3]}\n")
    sentence = refused(run(folder, "gen=[kmeans]"))
    assert re.match(r".*/own/gen/kmeans\.yaml: imprint_bench has a file of this name, ", sentence)


GLOBAL = "# @package _global_\n"
BAD_FILES = [
    (
        f"{GLOBAL}name: [a\nseeds: [1]\n",
        "own/sweep/bad.yaml, line 3: not YAML (expected ',' or ']', but got ':'); mend the file.",
    ),
    (
        f"{GLOBAL}gen:\n\tkmeans: {{k: 3}}\n",
        r"own/sweep/bad.yaml, line 3: not YAML (found character '\t' that cannot start any token)",
    ),
    (f"{GLOBAL}name: a\nname: b\n", "own/sweep/bad.yaml, line 3: not YAML (found duplicate key"),
    (
        f"{GLOBAL}name: !!python/object/apply:os.system [ls]\n",
        "own/sweep/bad.yaml, line 2: not YAML (could not determine a constructor for the tag",
    ),
    (f"{GLOBAL}zzz: 3\n", "zzz: no such key; there are name, fm, dataset,"),
    (f"{GLOBAL}gen: {{kmeens: {{k: 3}}}}\n", "gen: unknown generator 'kmeens'; known: "),
    (f"{GLOBAL}gen: {{kmeans: {{k: five}}}}\n", "gen.kmeans.k: expected an int of at least 1, got"),
    ("name: x\n", "sweep: its keys do not belong under sweep; a sweep file starts with the line"),
    ("- a\n", "sweep: its keys do not belong under sweep; a sweep file starts with the line"),
    ("", "sweep: its keys do not belong under sweep; a sweep file starts with the line"),
    (
        f"{GLOBAL}defaults:\n  - override /gem: [mean]\n",
        "sweep/bad.yaml: no group 'gem' to override; there are agg, dataset,",
    ),
    (f"{GLOBAL}defaults:\n  - override /gen: [nope]\n", "gen: no choice 'nope'; there are all,"),
    (f"{GLOBAL}defaults:\n  - /gen: [nope]\n", "gen: no choice 'nope'; there are all,"),
    (f'{GLOBAL}paths: {{data: "${{nope}}"}}\n', "paths.data: Interpolation key 'nope' not found; "),
    (f'{GLOBAL}paths: {{data: "${{oc.env:NOPE}}"}}\n', "paths.data: KeyError raised while"),
    (f'{GLOBAL}paths: {{data: "${{nope"}}\n', "paths.data: no viable alternative at input"),
]


@pytest.mark.parametrize(("text", "said"), BAD_FILES, ids=[m[0][-30:] for m in BAD_FILES])
def test_a_mistake_in_a_users_file_gets_one_sentence(run, own, text, said):
    assert said in refused(run(own("sweep/bad.yaml", text), "+sweep=bad"))


def test_a_users_file_that_is_no_text(run, own):
    folder = own("sweep/bad.yaml", "")
    Path(folder.split("=")[1], "sweep", "bad.yaml").write_bytes(b"\xff\xfe\x00")
    sentence = refused(run(folder, "+sweep=bad"))
    assert "own/sweep/bad.yaml: not a text in UTF-8 (invalid start byte); mend" in sentence


# --- what works


def test_options_and_overrides_may_stand_in_any_order():
    options = parse([QUICK, "--config-dir", "x", "seeds=[0]", "-m", "fm=pixels"])
    assert options.overrides == [QUICK, "seeds=[0]", "fm=pixels"]
    assert for_hydra(options) == [
        *("--multirun", "--config-dir", "x"),
        *(QUICK, "seeds=[0]", "fm=pixels"),
    ]


def test_help_lists_every_choice_and_says_how_to_use_them(run):
    code, out, err = run("--help")

    assert (code, err) == (0, "")
    for group in ("sweep", "fm", "dataset", "gen", "agg", "norm", "task", "table", "figure"):
        unwrapped = out.replace(",\n    ", ", ")
        lines = re.findall(rf"^{group}(/\w+)?: (.*)$", unwrapped, flags=re.MULTILINE)
        listed = [f"{f[1:]}/{n}" if f else n for f, names in lines for n in names.split(", ")]
        assert sorted(listed) == sorted(choices([conf_folder()], group))
    for word in ("--config-dir", "--multirun", "stages=[plan]", "paths.data", "seeds", "n_jobs"):
        assert word in out
    assert max(map(len, out.splitlines())) < 120
    assert len(out.splitlines()) < 70


def test_version(run):
    assert run("--version") == (0, "imprint_bench 0.1.0\n", "")


def test_cfg_prints_the_configuration_and_runs_nothing(run, elsewhere):
    code, out, err = run("--cfg", "job", QUICK, "seeds=[7]")
    assert (code, err) == (0, "")
    assert "name: quickstart" in out
    assert "seeds:\n- 7\n" in out
    assert not list(elsewhere.iterdir())


def test_info_prints_which_files_it_comes_from(run):
    code, out, _ = run("--info", "defaults", QUICK)
    assert code == 0
    assert "sweep/quickstart" in out


def test_stages_plan_shows_what_would_run_and_writes_nothing(run, elsewhere):
    code, out, err = run(*SMALL, "stages=[plan]", "norm.post=[l2]", "gen=[mean,kmeans]")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    # (none, none), (none, l2), (l2, l2) with mean and k = 1, 5, 20; (l2, none) is dropped
    assert lines[0] == "quickstart: 12 trials in 4 units of work; 4 combinations dropped."
    assert lines[1:3] == [
        "  4: norm_pre l2 implies norm_inf l2",
        "      norm pre=l2 inf=none (4)",
    ]
    assert re.match(
        r"Estimated from timed samples, for 12 trials that the store lacks: embedding \d+ s, "
        r"running \d+ s, \d\.\d GiB of memory per worker, \d+ MiB on disk\.$",
        lines[3],
    )
    assert not list(elsewhere.iterdir())


def test_a_run_logs_what_it_did_and_ends_with_a_report(run, elsewhere):
    code, out, err = run(*SMALL)

    assert (code, err) == (0, "")
    report = elsewhere / "results/reports/quickstart/index.html"
    assert report.is_file()
    assert out.splitlines()[-1] == f"Report: {report}"
    (log,) = (elsewhere / "results/runs").rglob("*.log")
    text = log.read_text()
    assert text.startswith("python -m imprint_bench +sweep=quickstart 'fm=[pixels]'")
    assert "\nseeds:\n- 0\n" in text
    assert "9 to compute" in text


def test_running_again_computes_nothing(run):
    run(*SMALL)
    code, out, _ = run(*SMALL)
    assert code == 0
    assert "9 trials: 9 in the store, 0 to compute in 0 units of work." in out


def test_jobs_of_a_multirun_with_work_in_common_run_as_one_and_report_one_by_one(run, elsewhere):
    run(*SMALL, "gen=[mean]", "norm.pre=[l2]")
    arguments = ["-m", *SMALL, "gen=[mean],[mean,kmeans]", "paths.data=../data"]
    code, out, err = run(*arguments)

    assert (code, err) == (0, "")
    assert "2 jobs have work in common and run as one:\n  job 1 of 2: gen=-mean-\n" in out
    assert "36 trials: 3 in the store, 33 to compute" in out  # mean of both jobs only once
    assert out.count("to compute") == 1
    pages = {p.parent.name: p.read_text() for p in elsewhere.rglob("gen=*/index.html")}
    assert sorted(pages) == ["gen=-mean,kmeans-", "gen=-mean-"]
    for page, computed in ((pages["gen=-mean-"], 6), (pages["gen=-mean,kmeans-"], 33)):
        facts = " ".join(re.sub("<[^>]+>", " ", page).split())
        assert f"computed now {computed} found in the store 3" in facts
        assert "stage run (of all jobs together)" in facts
    logs = sorted(p.name[9:] for p in (elsewhere / "results/runs").rglob("*-gen=*.log"))
    assert logs == ["gen=-mean,kmeans-.log", "gen=-mean-.log"]
    for log in (elsewhere / "results/runs").rglob("*-gen=*.log"):
        text = log.read_text()
        assert text.startswith("python -m imprint_bench +sweep=quickstart")
        assert text.count("\nseeds:\n- 0\n") == text.count("33 to compute") == 1
        assert text.count("Report: ") == 1
    again = run(*arguments)[1]
    assert "36 trials: 36 in the store, 0 to compute" in again


def test_a_plan_of_jobs_with_work_in_common_is_estimated_once(run, elsewhere):
    code, out, err = run("-m", *SMALL, "gen=[mean],[mean,kmeans]", "stages=[plan]")
    assert (code, err) == (0, "")
    assert out.count("Estimated from timed samples, for 36 trials") == 1
    assert out.count("job ") == 2  # named once, without reports
    assert not list(elsewhere.iterdir())


def test_where_jobs_cannot_run_as_one_each_is_tried_by_itself(run, monkeypatch):
    real = study.run

    def only_small(config, plan, *rest):
        if len(plan) > 9:
            raise DataError("too much.")
        return real(config, plan, *rest)

    monkeypatch.setattr(study, "run", only_small)
    code, out, err = run("-m", *SMALL, "gen=[mean],[mean,kmeans]")
    assert code == 2
    assert err == "too much. Now each job by itself.\ngen=-mean,kmeans-: too much.\n"
    assert "9 trials: 0 in the store, 9 to compute" in out
    assert out.count("Report: ") == 1


def test_a_multirun_over_foundation_models_has_a_folder_for_each(run, elsewhere):
    arguments = [a for a in SMALL if not a.startswith("fm=")]
    code, out, err = run("-m", *arguments, "fm=pixels,random_conv")

    assert (code, err) == (0, "")
    assert out.count("9 trials: 0 in the store, 9 to compute") == 2
    pages = sorted(p.parent.name for p in elsewhere.rglob("index.html"))
    assert pages == ["fm=pixels", "fm=random_conv"]
    again = run("-m", *arguments, "fm=pixels,random_conv")[1]
    assert again.count("9 trials: 9 in the store, 0 to compute") == 2


def test_a_job_of_a_multirun_that_fails_does_not_stop_the_others(run, elsewhere):
    code, out, err = run("-m", *SMALL, "dataset=mnist,digits")

    assert code == 2
    assert err.startswith(f"dataset=mnist: {elsewhere}/data/MNIST/raw/train-images")
    assert err.count("\n") == 1
    assert "9 to compute" in out


def test_labels_of_jobs_are_folder_names_of_their_own():
    jobs = [[QUICK, "paths.data=../x", f"fm.a.file=../{x}/net"] for x in "ab"]
    assert labels_of(jobs) == ["fm.a.file=..-a-net", "fm.a.file=..-b-net"]
    assert labels_of([["a=1/2"], ["a=1:2"]]) == ["job-1", "job-2"]
    assert labels_of([["a=" + "x" * 200], ["a=y"]]) == ["job-1", "job-2"]
    assert labels_of([["a=../.."], ["a=.."]]) == ["a=..-..", "a=.."]


# --- through a process of its own, as a user does


def command(*arguments: str, **options: object) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-m", "imprint_bench", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["+sweep=quikstart"], "sweep: no choice 'quikstart'"),
        ([QUICK, "gen.kmeans.k=[five]"], "gen.kmeans.k: expected an int of at least 1, got 'five'"),
        (
            [QUICK, "dataset=[mnist]", "embed.download=false"],
            f"{os.sep}data/MNIST/raw/train-images-idx3-ubyte: no such",
        ),
    ],
    ids=["choice", "value", "data"],
)
def test_a_process_ends_with_one_sentence_and_code_2(arguments, said, elsewhere):
    done = command(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(elsewhere.iterdir())


def test_a_process_runs_a_small_sweep_from_any_folder(elsewhere):
    done = command(*SMALL, "n_jobs=2")

    assert done.returncode == 0, done.stderr
    assert "Report: " in done.stdout
    assert (elsewhere / "results/reports/quickstart/index.html").is_file()


def test_what_is_chosen_on_the_command_line_is_all_there_is_whatever_the_sweep_says_of_others():
    for group, sweep, names in (
        ("gen", "paper/gen", ["mean", "fps"]),
        ("method", "fixed/digit_pairs", ["dl2pa_dynamic"]),
    ):
        (job,) = compose(parse([f"+sweep={sweep}", f"{group}=[{','.join(names)}]"]))
        assert list(job.raw[group]) == names
        assert "kmeans" not in job.configuration
    (job,) = compose(parse(["+sweep=paper/gen", "gen=[fps]"]))
    assert job.raw["gen"] == {"fps": {"k": [1, 2, 3, 5, 10, 20]}}
    (job,) = compose(parse(["+sweep=quickstart", "task=[all]", "+task.mine.classes=[3,5]"]))
    assert list(job.raw["task"]) == ["all", "mine"]
