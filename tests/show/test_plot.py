"""The data of the figures: what is drawn, retrieved from the Axes."""

import dataclasses
import subprocess
import sys
import textwrap

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import sedyn
from sedyn import plot
from sedyn.common import stderr

T = 8
NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
TRAINING = sedyn.Training(0.2, T)
TEACHER = sedyn.SingleIndex("tanh", 0.2)


@pytest.fixture(scope="module")
def theory():
    overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, deep=([[1.0], [-0.5]],))
    return sedyn.state_evolution(NETWORK, TRAINING, TEACHER, overlaps, 2.0, n_paths=2**9, rng=0)


@pytest.fixture(scope="module")
def runs():
    def one(seed):
        signal = sedyn.random_signal(20, rng=seed)
        X, y = TEACHER.sample(40, signal, rng=seed)
        test = TEACHER.sample(50, signal, rng=seed + 100)
        weights = NETWORK.init(20, rng=seed)
        return sedyn.augmented_gradient_descent(NETWORK, TRAINING, weights, X, y, test=test, rng=0)

    return [one(seed) for seed in range(3)]


def line(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def test_the_band_of_a_single_run_is_shaded(theory, runs):
    band = theory.band(20, 0.9, n_runs=16)
    ax = plot.learning_curves(theory, runs[0], band=band)
    for name, error in (("training error", "train_error"), ("generalization error", "generalization_error")):
        (shaded,) = [c for c in ax.collections if c.get_label() == f"{name}, 90 % of single runs"]
        box, (lower, upper) = shaded.get_paths()[0].get_extents(), getattr(band, error)
        np.testing.assert_allclose([box.x0, box.x1, box.y0, box.y1], [0, T, lower.min(), upper.max()])
    assert len(ax.lines) == 4 and len(legend(ax)) == 6
    alone = plot.learning_curves(band=band, quantities="train_error")
    assert legend(alone) == ["training error, 90 % of single runs"]
    with pytest.raises(ValueError, match="no result holds any"):
        plot.learning_curves(band=band, quantities="estimated_error")


def error_bars(ax, label):
    (container,) = [c for c in ax.containers if c.get_label() == label]
    points, _, (bars,) = container
    return points.get_xdata(), points.get_ydata(), np.array([segment[:, 1] for segment in bars.get_segments()])


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_theory_is_drawn_as_lines_with_bands_of_two_standard_errors(theory):
    ax = plot.learning_curves(theory)
    for name, label in (("train_error", "training error"), ("generalization_error", "generalization error")):
        steps, values = line(ax, f"{label}, theory")
        np.testing.assert_array_equal(steps, np.arange(T + 1))
        np.testing.assert_array_equal(values, getattr(theory, name))
    assert len(ax.collections) == 2
    vertices = ax.collections[1].get_paths()[0].vertices
    at_the_end = vertices[vertices[:, 0] == T, 1]
    middle, width = theory.generalization_error[-1], 2 * theory.stderr.generalization_error[-1]
    np.testing.assert_allclose([at_the_end.min(), at_the_end.max()], [middle - width, middle + width], rtol=1e-12)


def test_unknown_standard_errors_draw_no_band(theory):
    nan = np.full(T + 1, np.nan)
    alone = dataclasses.replace(theory, stderr=sedyn.StandardErrors(nan, nan, ()))
    ax = plot.learning_curves(alone)
    assert len(ax.lines) == 2 and len(ax.collections) == 0


def test_runs_are_drawn_as_means_with_bars_of_two_standard_errors(theory, runs):
    ax = plot.learning_curves(theory, runs)
    values = np.array([run.generalization_error for run in runs])
    steps, mean, bars = error_bars(ax, "generalization error, simulation")
    half = 2 * stderr(values)
    np.testing.assert_array_equal(steps, np.arange(T + 1))
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(bars, np.stack([values.mean(axis=0) - half, values.mean(axis=0) + half], axis=1))
    assert sorted(legend(ax)) == sorted(
        f"{quantity} error, {source}"
        for quantity in ("training", "generalization")
        for source in ("theory", "simulation")
    )


def test_a_simulation_is_drawn_as_its_runs_are(theory):
    """Means with bars of two standard errors; of one run, points alone."""
    weights, signal = NETWORK.init(20, rng=0), sedyn.random_signal(20, rng=1)

    def simulated(n_runs, **options):
        return sedyn.simulate(NETWORK, TRAINING, TEACHER, weights, signal, 40, n_runs, rng=2, **options)

    several, one = simulated(5), simulated(1)
    ax = plot.learning_curves(theory, several)
    for name, label in (("train_error", "training error"), ("generalization_error", "generalization error")):
        steps, mean, bars = error_bars(ax, f"{label}, simulation")
        values = getattr(several, name)
        half = 2 * stderr(values)
        np.testing.assert_array_equal(steps, np.arange(T + 1))
        np.testing.assert_allclose(mean, values.mean(axis=0))
        np.testing.assert_allclose(bars, np.stack([mean - half, mean + half], axis=1))
    ax = plot.learning_curves(runs=one)
    assert not ax.containers and not ax.collections
    np.testing.assert_array_equal(line(ax, "generalization error, simulation")[1], one.generalization_error[0])
    with pytest.raises(ValueError, match="no result holds any of"):
        plot.learning_curves(runs=several, quantities=["estimated_error"])
    short = dataclasses.replace(several, train_error=several.train_error[:, :4])
    ax = plot.learning_curves(runs=short, quantities=["train_error"])
    assert len(error_bars(ax, "training error, simulation")[0]) == 4


def test_a_single_run_is_points_without_bars(runs):
    ax = plot.learning_curves(runs=runs[0])
    assert not ax.containers and not ax.collections
    np.testing.assert_array_equal(line(ax, "training error, simulation")[1], runs[0].train_error)
    assert all(drawn.get_linestyle() == "None" for drawn in ax.lines)


def test_runs_of_different_length_are_compared_where_all_have_values(runs):
    short = dataclasses.replace(runs[0], train_error=runs[0].train_error[:4])
    ax = plot.learning_curves(runs=[short, *runs[1:]], quantities=["train_error"])
    steps, mean, _ = error_bars(ax, "training error, simulation")
    np.testing.assert_array_equal(steps, np.arange(4))
    np.testing.assert_allclose(mean, np.mean([run.train_error[:4] for run in runs], axis=0))


@pytest.mark.parametrize("length", [1, 2, 20, 21, 41, 1001])
def test_points_are_thinned(runs, length):
    values = np.linspace(1, 0, length)
    ax = plot.learning_curves(runs=dataclasses.replace(runs[0], train_error=values), quantities=["train_error"])
    steps, drawn = line(ax, "training error, simulation")
    assert min(length, 10) <= len(steps) <= 21
    assert steps[0] == 0 and len(set(np.diff(steps))) <= 1
    np.testing.assert_array_equal(drawn, values[steps])


def test_quantities_that_no_result_holds_are_left_out_or_refused(theory, runs):
    no_test = [dataclasses.replace(run, generalization_error=None) for run in runs]
    ax = plot.learning_curves(theory, no_test)
    assert "generalization error, simulation" not in legend(ax)
    assert "estimated generalization error, simulation" in legend(
        plot.learning_curves(theory, runs, quantities=["estimated_error"])
    )
    with pytest.raises(ValueError, match="there is no generalization_error in 1 of 3 runs"):
        plot.learning_curves(theory, [no_test[0], *runs[1:]])
    with pytest.raises(ValueError, match="no result holds any of"):
        plot.learning_curves(runs=no_test, quantities=["generalization_error"])
    with pytest.raises(ValueError, match=r"unknown quantities \['loss'\]; use some of"):
        plot.learning_curves(theory, quantities=["loss"])
    with pytest.raises(ValueError, match="nothing to draw"):
        plot.learning_curves()


def test_axes_are_used_labelled_and_scaled(theory):
    ax = plt.subplots()[1]
    assert plot.learning_curves(theory, ax=ax, log=True) is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("step t", "mean squared error", "log")
    assert plot.learning_curves(theory).get_ylim()[0] == 0


def test_each_quantity_has_one_colour(theory, runs):
    ax = plot.learning_curves(theory, runs)
    for label in ("training error", "generalization error"):
        (drawn,) = [x for x in ax.lines if x.get_label() == f"{label}, theory"]
        (points,) = [c[0] for c in ax.containers if c.get_label() == f"{label}, simulation"]
        assert drawn.get_color() == points.get_color()
    assert len({colour for _, colour in plot.QUANTITIES.values()}) == len(plot.QUANTITIES)


def test_estimated_error_draws_three_curves_and_the_best_stopping_time(runs):
    estimate = runs[0].estimated_error.copy()
    estimate[3] = 0.01
    run = dataclasses.replace(runs[0], estimated_error=estimate, best_step=3)
    ax = plot.estimated_error(run)
    np.testing.assert_array_equal(line(ax, "training error")[1], run.train_error)
    np.testing.assert_array_equal(line(ax, "estimated generalization error")[1], estimate)
    np.testing.assert_array_equal(line(ax, "held-out error")[1], run.generalization_error)
    steps, values = line(ax, "best stopping time, t = 3")
    assert (steps.tolist(), values.tolist()) == ([3], [0.01])


def test_held_out_errors_can_be_given_or_absent(runs):
    given = np.linspace(2, 1, T + 1)
    np.testing.assert_array_equal(line(plot.estimated_error(runs[0], held_out=given), "held-out error")[1], given)
    blind = dataclasses.replace(runs[0], generalization_error=None)
    assert "held-out error" not in legend(plot.estimated_error(blind))
    with pytest.raises(ValueError, match=r"held_out must have shape \(9,\), one per step; got \(8,\)"):
        plot.estimated_error(runs[0], held_out=given[:-1])
    with pytest.raises(ValueError, match="no estimated error; train with sedyn.augmented_gradient_descent"):
        plot.estimated_error(dataclasses.replace(runs[0], estimated_error=None))


def test_heatmap_shows_the_entry_with_colours_centred_at_zero():
    kernel = np.random.default_rng(0).normal(size=(4, 5, 2, 2))
    ax = plt.subplots()[1]
    assert plot.kernel_heatmap(kernel, (0, 1), ax=ax, label="C") is ax
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), kernel[:, :, 0, 1])
    largest = np.abs(kernel[:, :, 0, 1]).max()
    assert image.get_clim() == (-largest, largest)
    assert image.colorbar.ax.get_ylabel() == "C"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step s", "step t")
    assert ax.yaxis_inverted()  # the first time runs down


def test_heatmap_masks_exact_zeros_on_request_and_takes_a_limit():
    kernel = np.tri(4)[:, :, None, None] * 3.0
    assert plot.kernel_heatmap(kernel).images[0].get_array().count() == 16
    image = plot.kernel_heatmap(kernel, mask_zeros=True, limit=0.5).images[0]
    np.testing.assert_array_equal(image.get_array().mask, np.tri(4) == 0)
    assert image.get_clim() == (-0.5, 0.5) and image.colorbar.extend == "both"
    assert plot.kernel_heatmap(np.zeros((2, 2, 1, 1))).images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 2, 2), {}, r"shape \(T, T', q, q\), .*; got \(4, 2, 2\)"),
        ((4, 4, 2, 2), {"entry": (0, 2)}, r"entry \(0, 2\) lies outside the 2 x 2 entries"),
        ((4, 4, 2, 2), {"limit": 0.0}, "limit must be a positive number below 1e300; got 0.0"),
    ],
)
def test_heatmap_refuses_what_it_cannot_draw(shape, options, message):
    with pytest.raises(ValueError, match=message):
        plot.kernel_heatmap(np.ones(shape), **options)


def test_global_settings_change_on_request_only(theory, tmp_path):
    with matplotlib.rc_context():
        before = dict(matplotlib.rcParams)
        plot.save(plot.learning_curves(theory).figure, tmp_path / "a")
        assert dict(matplotlib.rcParams) == before
        plot.use_style()
        assert matplotlib.rcParams["axes.spines.top"] is False
        assert matplotlib.rcParams["svg.hashsalt"] == "sedyn"


@pytest.mark.seconds
def test_importing_sedyn_imports_no_matplotlib_and_importing_plot_changes_no_setting():
    code = """
        import sys, sedyn
        assert "matplotlib" not in sys.modules
        import matplotlib
        before = dict(matplotlib.rcParams)
        sedyn.plot.save
        assert dict(matplotlib.rcParams) == before
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


@pytest.mark.seconds
def test_saved_files_are_the_same_every_time(theory, tmp_path):
    first = plot.save(plot.learning_curves(theory).figure, tmp_path / "new folder" / "a.b")
    second = plot.save(plot.learning_curves(theory).figure, tmp_path / "c")
    assert [path.name for path in first] == ["a.b.png", "a.b.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert b"date" not in one.read_bytes().lower()
    assert plot.save(plot.learning_curves(theory).figure, tmp_path / "c.svg") == second


STARTS_WITH = {"pdf": b"%PDF", "jpg": b"\xff\xd8", "JPEG": b"\xff\xd8", "eps": b"%!PS", "tiff": b"II", "webp": b"RIFF"}


@pytest.mark.parametrize("ending", STARTS_WITH)
def test_other_formats_are_written_as_the_one_file_named(theory, tmp_path, ending):
    figure = plot.learning_curves(theory).figure
    path = tmp_path / f"curves.{ending}"
    assert plot.save(figure, path) == (path,) and [*tmp_path.iterdir()] == [path]
    first = path.read_bytes()
    assert first.startswith(STARTS_WITH[ending])
    if ending == "pdf":
        plot.save(figure, path)
        assert path.read_bytes() == first
