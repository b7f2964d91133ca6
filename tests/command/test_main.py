"""The command line: what it prints and writes, and one line with exit status 2 for every bad input."""

import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

matplotlib.use("Agg")

import sedyn
from sedyn import scale_target, whiten, z_scores
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


# ---- estimate


@pytest.mark.parametrize("binary", [False, True])
def test_estimate_prints_what_the_library_computes(capsys, tmp_path, binary):
    header, rows = table()
    if binary:
        rows[:, -1] = np.where(rows[:, -1] > np.median(rows[:, -1]), 4.0, 2.0)
    options = ["--step-size", "0.2", "--n-steps", "16", "--width", "2", "--seed", "5", "--output", "out/picture.png"]
    assert main(["estimate", write(header, rows), "--target", "y", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""

    network = sedyn.Network((2, 1), ("tanh", "identity"))
    target = scale_target(rows[:, -1])
    rng = np.random.default_rng(5)
    weights = network.init(3, rng=rng)
    run = sedyn.augmented_gradient_descent(
        network, sedyn.Training(0.2, 16), weights, whiten(rows[:, :-1]), target.labels, rng=rng
    )
    printed = np.array([line.split() for line in out.splitlines() if re.match(r" +\d", line)], float)
    np.testing.assert_array_equal(printed[:, 0], np.arange(0, 17, 2))
    np.testing.assert_allclose(printed[:, 1], run.train_error[::2], atol=6e-5)
    np.testing.assert_allclose(printed[:, 2], run.estimated_error[::2], atol=6e-5)
    np.testing.assert_allclose(printed[:, 3], run.estimated_stderr[::2], atol=6e-5)
    np.testing.assert_allclose(printed[:, 4], target.scale * np.sqrt(run.estimated_error[::2]), rtol=6e-4)
    best = int(np.argmin(run.estimated_error))
    assert f"Best stopping time: t = {best}," in out
    assert f"root mean square {target.scale * np.sqrt(run.estimated_error[best]):.4g} in units of 'y'" in out
    assert ("two values, as -1 and +1" if binary else "standardised") in out
    assert ("larger --n-steps may do better" in out) == (best == 16)
    assert (tmp_path / "out/picture.png").stat().st_size > 5000 and (tmp_path / "out/picture.svg").exists()


@pytest.mark.seconds
def test_estimate_does_not_depend_on_the_units_of_features_and_scales_with_those_of_the_target(capsys):
    header, rows = table()
    argv = ["estimate", "data.csv", "--target", "y"]
    printed = []
    for units in ([1, 1, 1, 1], [1e3, 0.01, 60, 7]):
        write(header, rows * units)
        assert main(argv) == 0
        printed.append([line.split() for line in capsys.readouterr().out.splitlines() if re.match(r" +\d", line)])
    one, other = np.array(printed, float)
    np.testing.assert_allclose(other[:, :4], one[:, :4], atol=1e-4)
    np.testing.assert_allclose(other[:, 4], 7 * one[:, 4], rtol=1e-3)


@pytest.mark.seconds
def test_estimate_says_when_rows_are_scarce_and_names_the_picture_after_the_table(capsys, tmp_path):
    header, rows = table(m=20, n=3)
    assert main(["estimate", write(header, rows, "my.table.csv"), "--target", "y"]) == 0
    out = capsys.readouterr().out
    assert "Not whitened" not in out and "Caution: only 20 rows" in out
    assert (tmp_path / "my.table_estimate.png").exists()
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(11)]
    assert main(["estimate", write(names, rng.normal(size=(30, 11))), "--target", "c0"]) == 0
    assert "Not whitened: that needs 4 independent rows for each of the 10 columns" in capsys.readouterr().out


def with_cell(value, row=4, column=1):
    header, rows = table()
    cells = [[str(v) for v in row] for row in rows]
    cells[row - 2][column] = value  # the header is row 1
    return header, cells


CASES = {
    "missing column": ((lambda: table()), "price", ["no column 'price'", "'x0', 'x1', 'x2', 'y'"]),
    "text": ((lambda: with_cell("tall")), "y", ["row 4, column 'x1'", "'tall', not a finite number", "1 such"]),
    "empty cell": ((lambda: with_cell("", row=61)), "y", ["row 61, column 'x1'", "a missing value", "fill them in"]),
    "NA": ((lambda: with_cell("NA", column=3)), "y", ["row 4, column 'y'", "a missing value"]),
    "nan": ((lambda: with_cell("NaN")), "y", ["row 4, column 'x1'", "a missing value"]),
    "infinite": ((lambda: with_cell("inf")), "y", ["row 4, column 'x1'", "'inf', not a finite number"]),
    "underscore": ((lambda: with_cell("1_0")), "y", ["row 4, column 'x1'", "'1_0', not a finite number"]),
    "constant feature": ((lambda: (table()[0], table()[1] * [1, 0, 1, 1])), "y", ["constant columns 'x1'", "remove"]),
    "constant target": ((lambda: (table()[0], table()[1] * [1, 1, 1, 0])), "y", ["target 'y' is constant"]),
    "duplicate names": ((lambda: (["a", "b", "a", "y"], table()[1])), "y", ["more than once: 'a'", "rename"]),
    "nameless column": ((lambda: (["a", "", "c", "y"], table()[1])), "y", ["column 2 of data.csv has no name"]),
    "too few rows": ((lambda: table(m=19)), "y", ["too few rows: 19 for 3 features", "at least 20"]),
    "fewer rows than features": (
        (lambda: ([f"c{i}" for i in range(32)], np.random.default_rng(0).normal(size=(30, 32)))),
        "c0",
        ["too few rows: 30 for 31 features", "at least 31", "remove columns"],
    ),
    "ragged": ((lambda: (table()[0], [*table()[1][:2], [1, 2]])), "y", ["row 4 of data.csv has 2 values", "4 columns"]),
    "no rows": ((lambda: (table()[0], [])), "y", ["has a header but no rows"]),
    "one column": ((lambda: (["a;b;y"], [["1;2;3"]])), "y", ["one column only, 'a;b;y'", "separated by commas"]),
    "dependent columns": (
        (lambda: (["a", "b", "c", "twice", "y"], np.insert(table()[1], 3, 2 * table()[1][:, 0], axis=1))),
        "y",
        ["1 of 4 directions", "'a', 'twice'", "remove 1"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_tables_are_refused_in_one_line(capsys, case):
    make, target, fragments = CASES[case]
    fails(capsys, ["estimate", write(*make()), "--target", target], *fragments)


def test_bad_files_are_refused_in_one_line(capsys, tmp_path):
    fails(capsys, ["estimate", "absent.csv", "--target", "y"], "no file 'absent.csv'", "give the path")
    fails(capsys, ["estimate", ".", "--target", "y"], "no file '.'")
    (tmp_path / "empty.csv").touch()
    fails(capsys, ["estimate", "empty.csv", "--target", "y"], "empty.csv is empty", "must name the columns")
    (tmp_path / "latin.csv").write_bytes("größe,y\n1,2\n".encode("latin-1"))
    fails(capsys, ["estimate", "latin.csv", "--target", "y"], "latin.csv is not UTF-8", "export it")


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--step-size", "-1"], ["step_size must be a finite number >= 0", "got -1.0"]),
        (["--step-size", "1e9"], ["training diverged at step", "lower step_size", "--step-size, here 1e+09"]),
        (["--n-steps", "-1"], ["n_steps must be an integer, 0 or more; got -1"]),
        (["--width", "0"], ["widths must be", "got (0, 1)"]),
    ],
)
def test_bad_options_are_refused_in_one_line(capsys, options, fragments):
    fails(capsys, ["estimate", write(*table()), "--target", "y", *options], *fragments)


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
    gap = np.abs(real[:, 2] / real[:, 3] - 1).max()  # over the printed steps: no more than the one over all
    assert gap <= float(re.search(r"differ by up to (\d+)%", out).group(1)) / 100 + 0.006
    assert (tmp_path / "pictures/main.png").exists() and (tmp_path / "pictures/main.svg").exists()


def test_z_scores_combine_both_standard_errors():
    np.testing.assert_allclose(z_scores([[8.0], [14.0]], [1.0], [4.0]), [(11 - 1) / 5])  # mean 11, standard error 3


@pytest.mark.seconds
def test_digits_are_whitened_and_labelled_by_parity():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits as original

    X, y, n_dropped = load_digits()
    assert X.shape == (1797, 64 - n_dropped)
    np.testing.assert_allclose(X.T @ X / len(X), np.eye(X.shape[1]), atol=1e-9)
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
    assert done.stderr == "sedyn: no file 'absent.csv'; give the path of a comma-separated file with a header line\n"
    shown = subprocess.run([sys.executable, "-m", "sedyn", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "run" in shown.stdout and "estimate" in shown.stdout


@pytest.mark.seconds
def test_estimate_of_rows_that_belong_together_or_repeat(capsys):
    """Groups by a column of labels; repeats of the table as it stands, not of what whitening makes of it."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(60, 4))

    def printed(rows, *options, header=("a", "b", "c", "y")):
        assert main(["estimate", write(header, rows), "--target", "y", "--n-steps", "5", *options]) == 0
        return capsys.readouterr().out

    twice = np.repeat(rows, 2, axis=0)[rng.permutation(120)]
    out = printed(twice)
    assert "60 independent groups" in out and "60 rows repeat others exactly" in out and "standardised" in out
    few = np.column_stack([rng.integers(0, 4, (200, 3)), rng.normal(size=200)])  # chance repeats
    assert "200 independent rows" in printed(few)
    visits = [[*row, f"S{i // 3}"] for i, row in enumerate(rows)]
    named = {"header": ("a", "b", "c", "y", "subject")}
    assert "20 independent groups" in printed(visits, "--groups", "subject", **named)
    alone = [[*row, f"S{i}"] for i, row in enumerate(rows)]
    assert "--groups changes nothing" in printed(alone, "--groups", "subject", **named)
    one = [[*row, "S"] for row in rows]
    arguments = ["estimate", "data.csv", "--target", "y", "--groups", "subject"]
    write(named["header"], one)
    fails(capsys, arguments, "all 60 rows are in one group")
    for missing in ("NaN", "NA", "?"):
        write(named["header"], [[*row, missing if i == 7 else f"S{i // 3}"] for i, row in enumerate(rows)])
        fails(capsys, arguments, "row 9 of data.csv has no group", repr(missing))
    fails(capsys, [*arguments[:-1], "y"], "target and groups are both 'y'")
