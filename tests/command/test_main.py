"""The command line: what it prints and writes, and one line with exit status 2 for every bad input."""

import re
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

matplotlib.use("Agg")

import sedyn
from sedyn import z_scores
from sedyn.command import main
from sedyn.command.job import load_digits
from sedyn.command.printing import _save


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(m=60, n=3, seed=0):
    """A header, and m rows of n features and the target, as floats."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n)) + [10.0, 0, 0][:n]
    y = 100 + 20 * np.tanh(X @ np.arange(1, n + 1) / n - 3) + rng.normal(size=m)
    return [f"x{i}" for i in range(n)] + ["y"], np.column_stack([X, y])


def write(header, rows, name="data.csv"):
    lines = [",".join(header), *(",".join(str(v) for v in row) for row in rows)]
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return name


def fails(capsys, argv, *fragments):
    """main(argv) returns 2 and says so in one line on standard error, and nothing on standard output."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("sedyn: ") and err.count("\n") == 1 and err.endswith("\n")
    for fragment in fragments:
        assert fragment in err


# ---- estimate and predict


def numbers_of(out):
    """The printed table, (rows, 4)."""
    return np.array([line.split() for line in out.splitlines() if re.match(r" +\d+ +\S+ +\S+ +\S+$", line)], float)


@pytest.mark.seconds
@pytest.mark.parametrize("binary", [False, True])
def test_estimate_prints_what_the_library_computes(capsys, tmp_path, binary):
    header, rows = table(m=120)
    y = rows[:, -1]
    if binary:
        rows = [[*row[:-1], "high" if row[-1] > np.median(y) else "low"] for row in rows]
    options = ["--max-steps", "40", "--width", "2", "--seed", "5", "--output", "out/picture.png", "--save", "model"]
    assert main(["estimate", write(header, rows), "--target", "y", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sedyn.AssumptionWarning)
        kind = sedyn.NetworkClassifier if binary else sedyn.NetworkRegressor
        network = kind(width=2, max_steps=40, feature_tests=True, random_state=5)
        model = sedyn.fit_table(sedyn.read_table("data.csv", "y"), network)
    network, printed = model.network, numbers_of(out)
    steps = printed[:, 0].astype(int)
    assert {0, network.best_step_, len(network.estimated_error_) - 1} <= set(steps)
    np.testing.assert_allclose(printed[:, 2], network.estimated_error_[steps], rtol=6e-4)
    np.testing.assert_allclose(printed[:, 3], network.estimated_stderr_[steps], rtol=6e-2)
    assert f"Best stopping time: t = {network.best_step_}." in out
    if binary:
        assert f"error rate {1 - network.estimated_score_:.3g}" in out and "logistic regression" in out
    else:
        assert f"R^2 {network.estimated_score_:.3g}" in out and "ridge regression" in out and "in units of 'y'" in out
    assert (tmp_path / "out/picture.png").stat().st_size > 5000 and (tmp_path / "out/picture.svg").exists()

    assert main(["predict", "model", "data.csv"]) == 0
    predicted = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    more = ["probability of high", "probability of low", "possible at 90 %"] if binary else ["y from", "y to"]
    assert predicted[0] == ["y", *more]
    expected = model.predict("data.csv")[0]["y"]
    assert [row[0] for row in predicted[1:]] == list(map(str, expected))
    assert main(["predict", "model", "data.csv", "--level", "0.99"]) == 0
    wider = [line.split(",") for line in capsys.readouterr().out.splitlines()][1:]
    if binary:
        assert {row[3] for row in wider} <= {"high", "low", "high|low"}
    else:
        assert all(
            float(w[1]) < float(p[1]) and float(p[2]) < float(w[2]) for w, p in zip(wider, predicted[1:], strict=True)
        )
    assert "Columns were not tested" not in out and out.count("\n  x") >= 3  # their table
    fails(capsys, ["predict", "model", "data.csv", "--level", "1"], "--level must lie between 0 and 1")


@pytest.mark.seconds
def test_estimate_names_the_picture_after_the_table_and_takes_any_format(capsys, tmp_path):
    header, rows = table(m=30)
    options = ["--target", "y", "--max-steps", "5"]
    assert main(["estimate", write(header, rows, "my.table.csv"), *options]) == 0
    assert "Caution: only 30 rows" in capsys.readouterr().out
    assert (tmp_path / "my.table_estimate.png").exists()
    assert main(["estimate", "my.table.csv", *options, "--output", "p.pdf"]) == 0
    assert (tmp_path / "p.pdf").stat().st_size > 5000


@pytest.mark.seconds
def test_estimate_does_not_depend_on_the_units_of_features_and_scales_with_those_of_the_target(capsys):
    header, rows = table()
    printed = []
    for units in ([1, 1, 1, 1], [1e3, 0.01, 60, 10]):
        write(header, rows * units)
        assert main(["estimate", "data.csv", "--target", "y", "--max-steps", "30"]) == 0
        printed.append(numbers_of(capsys.readouterr().out))
    np.testing.assert_allclose(printed[1][:, 1:], 100 * printed[0][:, 1:], rtol=0.1)


@pytest.mark.seconds
def test_estimate_says_when_the_simple_model_is_as_good_or_nothing_is(capsys):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    said = {}
    for name, y in (("linear", X.sum(axis=1) + rng.normal(size=300)), ("noise", rng.normal(size=300))):
        assert main(["estimate", write([*"abcd", "y"], np.column_stack([X, y])), "--target", "y"]) == 0
        said[name] = capsys.readouterr().out
    assert "as good within the errors, and simpler" in said["linear"] or "is better here: use it" in said["linear"]
    assert "Neither is better than the mean" in said["noise"]


def test_bad_choices_are_refused_in_one_line_and_before_anything_is_computed(capsys, tmp_path):
    write(*table())
    argv = ["estimate", "data.csv", "--target", "y"]
    fails(capsys, ["estimate", "data.csv", "--target", "price"], "no column 'price'", "'x0', 'x1', 'x2', 'y'")
    fails(capsys, ["estimate", "absent.csv", "--target", "y"], "no file 'absent.csv'")
    fails(capsys, [*argv, "--width", "0"], "--width must be a positive integer; got 0")
    fails(capsys, [*argv, "--max-steps", "-1"], "--max-steps must be")
    fails(capsys, [*argv, "--seed", "-1"], "--seed must be an integer, 0 or more; got -1")
    fails(capsys, [*argv, "--output", "."], "--output . is a folder")
    fails(capsys, [*argv, "--save", "data.csv/model"], "--save: cannot write data.csv/model")
    fails(capsys, ["predict", "absent", "data.csv"], "no file 'absent'")
    (tmp_path / "rubbish").write_text("no model")
    fails(capsys, ["predict", "rubbish", "data.csv"], "rubbish is no model")
    write([*"abc", "y"], [["a", 1, 2, "x"], ["b", 2, 4, "z"], ["a", 2, 3, "x"]] * 5)
    fails(capsys, [*argv, "--task", "numbers"], "the target 'y' holds texts")
    with pytest.raises(SystemExit):
        main([*argv, "--step-size", "-1"])
    assert "argument --step-size: must be auto or a positive number; got -1" in capsys.readouterr().err


@pytest.mark.seconds
def test_several_classes_are_one_network(capsys, tmp_path):
    header, rows = table(m=150)
    third = np.digitize(rows[:, -1], np.quantile(rows[:, -1], [0.3, 0.6]))
    write(header, [[*row[:-1], "abc"[k]] for row, k in zip(rows, third, strict=True)])
    assert main(["estimate", "data.csv", "--target", "y", "--save", "model"]) == 0
    out = capsys.readouterr().out
    network = sedyn.TableModel.load("model").network
    assert network.network_.widths[-1] == 3 and "What 'y' depends on" in out
    assert main(["predict", "model", "data.csv"]) == 0
    found = capsys.readouterr().out.splitlines()
    assert found[0] == "y,probability of a,probability of b,probability of c,possible at 90 %"
    np.testing.assert_allclose([sum(map(float, row.split(",")[1:4])) for row in found[1:]], 1)
    assert "log loss" in out and "logistic regression" in out and (tmp_path / "data_estimate.png").exists()


@pytest.mark.seconds
def test_predict_refuses_another_table_by_the_names_it_lacks(capsys):
    header, rows = table()
    options = ["--target", "y", "--max-steps", "3", "--save", "model"]
    assert main(["estimate", write(header, rows), *options]) == 0
    write(["x0", "other", "x2"], rows[:, :3], "new.csv")
    capsys.readouterr()
    fails(capsys, ["predict", "model", "new.csv"], "'x1'")


def test_divergence_names_the_step_size(capsys):
    assert main(["estimate", write(*table()), "--target", "y", "--step-size", "1e9"]) == 2
    assert "--step-size, here 1e+09" in capsys.readouterr().err.replace("1000000000.0", "1e+09")


# ---- run


@pytest.mark.seconds
def test_run_prints_both_tables_and_writes_the_picture(capsys, tmp_path):
    pytest.importorskip("sklearn")
    assert main(["run", "--n-features", "100", "--n-runs", "4", "--output", "pictures/main.png"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = [line.split() for line in out.splitlines() if re.match(r" +\d", line)]
    simulated, real = (np.array([row for row in rows if len(row) == size], float) for size in (7, 5))
    np.testing.assert_array_equal(simulated[:, 0], np.arange(0, 41, 5))
    np.testing.assert_array_equal(real[:, 0], np.arange(0, 41, 5))
    z = simulated[:, [3, 6]]
    printed = float(re.search(r"Root mean square z: ([\d.]+)", out).group(1))
    assert abs(printed - np.sqrt(np.mean(z**2))) < 0.02
    first, every = re.search(
        r"Band of a single run, 95%: it holds (\d+)% .* first run, (\d+)% of those of all", out
    ).groups()
    assert 50 < int(every) <= 100 and 0 <= int(first) <= 100
    gap = np.abs(real[:, 2] / real[:, 3] - 1).max()  # over the printed steps: no more than the one over all
    assert gap <= float(re.search(r"differ by up to (\d+)%", out).group(1)) / 100 + 0.009
    assert (tmp_path / "pictures/main.png").exists() and (tmp_path / "pictures/main.svg").exists()


def test_z_scores_combine_both_standard_errors():
    np.testing.assert_allclose(z_scores([[8.0], [14.0]], [1.0], [4.0]), [(11 - 1) / 5])  # mean 11, standard error 3


@pytest.mark.seconds
def test_digits_are_standardised_and_labelled_by_parity():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits as original

    X, y, n_dropped = load_digits()
    assert X.shape == (1797, 64 - n_dropped)
    np.testing.assert_allclose([X.mean(axis=0), X.std(axis=0)], [np.zeros(X.shape[1]), np.ones(X.shape[1])], atol=1e-9)
    digit = original().target
    assert np.all(y[digit % 2 == 0] == 1) and np.all(y[digit % 2 == 1] == -1)


def test_run_without_scikit_learn_names_the_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    fails(capsys, ["run"], 'pip install "sedyn[data]"')


@pytest.mark.parametrize(
    "options, message",
    [
        (["--n-runs", "1"], "--n-runs must be an integer >= 2; got 1"),
        (["--n-features", "3"], "--n-features must be an integer >= 10; got 3"),
        (["--seed", "-1"], "--seed must be an integer, 0 or more; got -1"),
    ],
)
def test_run_refuses_what_it_cannot_do(capsys, options, message):
    fails(capsys, ["run", *options], message)


@pytest.mark.seconds
def test_run_names_its_options_when_memory_is_short(capsys, monkeypatch):
    pytest.importorskip("sklearn")
    options = ["--n-features", "10000000", "--n-runs", "3"]
    fails(capsys, ["run", *options], "GiB", "--n-features, here 10000000, and --n-runs, here 3")


def test_pictures_are_named_as_asked_for(tmp_path):
    figure = Figure()
    assert _save(figure, "a/b") == _save(figure, "a/b.png") == _save(figure, "a/b.svg") == "a/b.png and a/b.svg"
    assert _save(figure, "c.pdf") == "c.pdf" and not (tmp_path / "c.pdf.png").exists()


@pytest.mark.seconds
def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "sedyn", "estimate", "absent.csv", "--target", "y"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sedyn: no file 'absent.csv'")
    version = subprocess.run([sys.executable, "-m", "sedyn", "--version"], capture_output=True, text=True)
    assert version.stdout == f"sedyn {sedyn.__version__}\n"
    shown = subprocess.run([sys.executable, "-m", "sedyn", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "run" in shown.stdout and "estimate" in shown.stdout


@pytest.mark.seconds
def test_estimate_of_rows_that_belong_together_or_repeat(capsys):
    """Groups by a column of labels; repeats of the table as it stands."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(60, 4))

    def printed(rows, *options, header=("a", "b", "c", "y")):
        assert main(["estimate", write(header, rows), "--target", "y", "--max-steps", "5", *options]) == 0
        return capsys.readouterr().out

    assert "60 rows repeat others exactly" in printed(np.repeat(rows, 2, axis=0)[rng.permutation(120)])
    few = np.column_stack([rng.integers(0, 4, (200, 3)), rng.normal(size=200)])  # chance repeats
    assert "repeat others" not in printed(few)
    visits = [[*row, f"S{i // 3}"] for i, row in enumerate(rows)]
    named = {"header": ("a", "b", "c", "y", "subject")}
    assert "20 groups were left out" in printed(visits, "--groups", "subject", **named)
    alone = [[*row, f"S{i}"] for i, row in enumerate(rows)]
    assert "--groups changes nothing" in printed(alone, "--groups", "subject", **named)
    one = [[*row, "S"] for row in rows]
    arguments = ["estimate", "data.csv", "--target", "y", "--groups", "subject"]
    write(named["header"], one)
    assert main(arguments) == 2 and "all 60 rows are in one group" in capsys.readouterr().err
    write(named["header"], [[*row, "NA" if i == 7 else f"S{i // 3}"] for i, row in enumerate(rows)])
    fails(capsys, arguments, "group")
    fails(capsys, [*arguments[:-1], "y"], "target and groups are both 'y'")
