import pytest

from imprint_bench.__main__ import main


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("table.best_configurations.where={gen: kmenas}", "table.best_configurations.where.gen: "),
        ("figure.critical_difference.where={genn: mean}", "figure.critical_difference.where.genn"),
    ],
)
def test_a_view_of_rows_that_the_plan_lacks_is_refused_before_the_run(
    override, sentence, tmp_path, capsys
):
    with pytest.raises(SystemExit) as stop:
        main([override, f"paths.results={tmp_path / 'results'}", "n_jobs=1"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(sentence)
    assert not (tmp_path / "results" / "rows").exists()


def test_a_report_without_its_rows_is_an_error_that_names_what_lacks(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["stages=[report]", f"paths.results={tmp_path / 'results'}", "n_jobs=1"])
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert "results are missing for best_configurations" in said.err
    assert "The command: python -m imprint_bench paths.results=" in said.out
