"""The widget and what stands behind it: settings, predictions, the figure's data, and trouble told as text."""

import base64
import io
import re
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import sedyn
from sedyn.show.widget import CONTROLS, draw, predict, problem_of, train_once
from tests.conftest import rms

START = {name: control[3] for name, control in CONTROLS.items()}
SMALL = {**START, "width": 2, "n_steps": 10}


@pytest.fixture(scope="module")
def small():
    return predict(SMALL)


@pytest.fixture
def play():
    return sedyn.explore(width=2, n_steps=10)


def drawn(ax, marker="None"):
    return [np.asarray(line.get_ydata()) for line in ax.lines if line.get_marker() == marker]


def pixels(play):
    code = re.search(r"base64,([^']+)'", play.widget.children[0].value).group(1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("RGB"))


def test_settings_mean_what_they_say():
    network, training, teacher, overlaps, phi = problem_of(
        {**START, "width": 2, "depth": 3, "activation": "gelu", "init_scale": 0.5, "link": "sine", "noise": 0.2}
        | {"step_size": 0.1, "n_steps": 20, "aspect_ratio": 3.0}
    )
    assert (network.widths, network.activations) == ((2, 2, 1), ("gelu", "gelu", "identity"))
    assert (training.step_size, training.n_steps) == (0.1, 20)
    assert (teacher.link, teacher.noise, phi) == ("sine", 0.2, 3.0)
    np.testing.assert_allclose(overlaps.gram, [0.25 * np.eye(2)])
    np.testing.assert_array_equal(overlaps.cross, 0)
    for W in overlaps.deep:
        np.testing.assert_allclose(np.linalg.norm(W, axis=0), 0.5)


def test_prediction_is_the_theory_to_the_accuracy_of_a_picture(small):
    reference = sedyn.state_evolution(*problem_of(SMALL), n_paths=2**13, rng=1)
    for name in ("train_error", "generalization_error"):
        height = reference.train_error[0]  # of the picture
        np.testing.assert_allclose(getattr(small.theory, name), getattr(reference, name), atol=0.01 * height)
    np.testing.assert_allclose(small.overlaps[:, 0], np.einsum("ttkk->tk", reference.kernels.C), atol=0.01)
    np.testing.assert_allclose(small.overlaps[:, 1], reference.kernels.c, atol=0.01)


def test_the_heat_map_is_the_response_averaged_over_neurons(small):
    R = sedyn.state_evolution(*problem_of(SMALL), n_paths=2**12, n_scrambles=1, solver="tangent", rng=1).kernels.R
    expected = np.trace(R, axis1=2, axis2=3) / 2
    assert small.kernel.shape == (10, 10) and "Response" in small.kernel_name
    assert rms(small.kernel - expected) < 0.1 * rms(expected)
    assert rms(small.kernel - np.diag(np.diag(expected))) > 0.2 * rms(expected)  # the echo is seen


def test_a_kink_shows_the_fluctuations_and_says_so():
    relu = predict({**SMALL, "activation": "relu"})
    assert "fluctuations" in relu.kernel_name
    np.testing.assert_allclose(relu.kernel, np.einsum("tskk->ts", relu.theory.kernels.fluctuation) / 2)


@pytest.mark.seconds
def test_every_extreme_of_the_controls_has_a_prediction_and_a_figure():
    fig = Figure()
    for name, (_, _, choices, _) in CONTROLS.items():
        for value in {choices[0], choices[-1]}:
            settings = {**SMALL, name: value}
            draw(fig, predict(settings))
    heaviest = {"width": 6, "depth": 4, "n_steps": 60, "activation": "relu", "aspect_ratio": 0.25, "noise": 2.0}
    assert predict({**START, **heaviest}).theory.status == "ok"


def test_simulated_runs_start_at_the_overlaps_of_the_theory_and_follow_it(small):
    runs, overlaps = zip(*(train_once({**SMALL, "n_features": 500, "seed": seed}) for seed in range(12)), strict=True)
    np.testing.assert_allclose(overlaps[0][0], small.overlaps[0], atol=1e-12)
    for name in ("train_error", "generalization_error"):
        z = sedyn.z_scores([getattr(run, name)[0] for run in runs], getattr(small.theory, name))
        assert rms(z[1:]) < 2.5, name
    assert rms(sedyn.z_scores(overlaps, small.overlaps)[1:]) < 2.5
    assert np.any(runs[0].train_error != runs[1].train_error)


def test_the_figure_shows_theory_run_and_the_settings_before(small):
    before, fig = predict({**SMALL, "noise": 1.0, "width": 3}), Figure()
    draw(fig, small)
    errors, overlaps, heat, bar = fig.axes
    np.testing.assert_array_equal(drawn(errors), [small.theory.train_error, small.theory.generalization_error])
    np.testing.assert_array_equal(drawn(overlaps), np.concatenate(small.overlaps.transpose(1, 2, 0)))
    best = int(small.theory.generalization_error.argmin())
    ((star,),) = drawn(errors, "*")
    assert star == small.theory.generalization_error[best] and errors.texts[0].get_text() == f"best: t = {best}"
    image = heat.images[0].get_array()
    largest = np.abs(np.tril(small.kernel, -1)).max()
    np.testing.assert_array_equal(np.ma.getmaskarray(image), np.tri(10) == 0)
    np.testing.assert_allclose(image.compressed(), small.kernel[np.tri(10) > 0] / largest)
    assert bar.get_yticklabels()[2].get_text() == f"{largest:.1g}"

    run, run_overlaps = train_once(SMALL)
    draw(fig, small, before, (run, run_overlaps))
    assert fig.axes[0] is errors and len(drawn(errors)) == 4 and len(drawn(overlaps)) == 4 + 6
    np.testing.assert_array_equal(drawn(errors)[:2], [before.theory.train_error, before.theory.generalization_error])
    np.testing.assert_array_equal(drawn(errors, "o"), [run.train_error[0], run.generalization_error[0]])
    np.testing.assert_array_equal(drawn(overlaps, "o")[0], run_overlaps[:, 0, 0])
    draw(fig, small)
    assert len(drawn(errors)) == 2 and not drawn(errors, "o") and not drawn(overlaps, "o")


def test_heights_are_round_and_hold_still(small):
    fig = Figure()
    draw(fig, small)
    top = fig.axes[0].get_ylim()
    assert top == (0, 2) and small.theory.generalization_error.max() < 2
    draw(fig, predict({**SMALL, "noise": 0.3}), small)
    assert fig.axes[0].get_ylim() == top
    exploding = predict({**SMALL, "link": "cubic", "step_size": 5.0})
    draw(fig, exploding, small)
    assert exploding.theory.train_error.max() > 1e4 and fig.axes[0].get_ylim()[1] <= 20


@pytest.mark.seconds
def test_moving_a_control_moves_settings_theory_and_picture(play):
    picture, theory = pixels(play), play.theory
    play.controls["noise"].value = 0.8
    assert play.settings == {**SMALL, "noise": 0.8}
    np.testing.assert_array_equal(play.theory.train_error, predict({**SMALL, "noise": 0.8}).theory.train_error)
    assert np.any(pixels(play) != picture)
    np.testing.assert_array_equal(drawn(play.figure.axes[0])[0], theory.train_error)  # pale, beneath the new one
    play.controls["activation"].value = "gelu"
    assert play.settings["activation"] == "gelu" and play.message == ""
    line = f"Best stopping time t = {play.best_stopping_time}"
    assert repr(play).startswith(line) and f"<div role=status>{line}" in play.widget.children[0].value


@pytest.mark.seconds
def test_updating_moves_the_controls_and_calculates_once(play, monkeypatch):
    calls = []
    monkeypatch.setattr("sys.modules", sys.modules)  # the function `explore` hides the module of that name
    module = sys.modules["sedyn.show.widget"]
    monkeypatch.setattr(module, "predict", lambda settings: calls.append(settings) or predict(settings))
    play.update(step_size=0.25, width=3, link="sine")
    assert len(calls) == 1
    assert (play.controls["step_size"].value, play.controls["width"].value) == (0.25, 3)
    assert ("0.25", 0.25) in play.controls["step_size"].options
    settings = play.settings
    assert len(play.theory_at(n_steps=20).train_error) == 21 and play.settings == settings


@pytest.mark.seconds
def test_the_button_draws_a_run_until_the_next_change(play):
    assert play.run is None
    play.update(n_features=100, seed=3)
    play.button.click()
    np.testing.assert_array_equal(
        play.run.train_error, train_once({**SMALL, "n_features": 100, "seed": 3})[0].train_error
    )
    np.testing.assert_array_equal(drawn(play.figure.axes[0], "o")[0], play.run.train_error[0])
    assert not play.button.disabled
    play.update(noise=0.1)
    assert play.run is None and not drawn(play.figure.axes[0], "o")


@pytest.mark.seconds
def test_another_seed_is_no_other_theory(play):
    play.update(noise=0.6)
    play.update(seed=5)
    assert len(drawn(play.figure.axes[0])) == 4
    assert np.any(drawn(play.figure.axes[0])[0] != play.theory.train_error)  # still what was before the noise changed


@pytest.mark.seconds
def test_trouble_is_a_line_of_text(play, monkeypatch):
    def alert():
        return re.search(r"role=alert[^>]*>(.*?)</div>", play.widget.children[0].value).group(1)

    play.update(link="cubic", step_size=5.0)
    assert play.theory.status == "diverged" and "diverged" in play.message and "diverged" in alert()
    play.update(link="tanh", step_size=0.3)
    assert play.message == alert() == ""
    play.update(aspect_ratio=32, n_features=1000)
    play.button.click()
    assert "32000 rows of 1000 features" in alert() and play.run is None and not play.button.disabled

    def fail(settings):
        raise MemoryError("needs <b>10 GiB</b>")

    settings = play.settings
    monkeypatch.setattr(sys.modules["sedyn.show.widget"], "predict", fail)
    play.controls["noise"].value = 1.0
    assert alert() == "MemoryError: needs &lt;b&gt;10 GiB&lt;/b&gt;"
    assert play.settings == settings and play.controls["noise"].value == settings["noise"]


def test_the_output_is_a_picture_before_the_widget(play, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: shown.append((*args, options)))
    play._ipython_display_()
    (picture, options), (bundle, _) = shown
    assert picture.data.startswith(b"\x89PNG") and picture.alt == repr(play) and options == {"display_id": True}
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == play.widget.model_id
    assert bundle["text/plain"].startswith(repr(play))


@pytest.mark.seconds
def test_only_the_controls_asked_for_are_shown():
    play = sedyn.explore(["noise", "depth"], noise=0.55)
    assert list(play.controls) == ["noise", "depth"] and play.controls["noise"].value == 0.55
    assert play.button not in play.widget.children[1].children[-1].children
    assert all(control.continuous_update is False for control in play.controls.values())
    with_run = sedyn.explore(["seed"])
    assert with_run.button in with_run.widget.children[1].children[-1].children
    everything = sedyn.explore()
    assert list(everything.controls) == list(CONTROLS)
    assert [control.description for control in everything.controls.values()] == [c[1] for c in CONTROLS.values()]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noize": 1}, "there is no setting 'noize'; use some of aspect_ratio, noise"),
        ({"show": ["noize"]}, "there is no setting 'noize'; use some of aspect_ratio, noise"),
        ({"show": "noise"}, r"show must be a list of settings, like \['noise'\]; got 'noise'"),
        ({"show": 3}, r"show must be a list of settings, like \['noise'\]; got 3"),
        ({"link": np.ones(2)}, "link must be one of linear, tanh, .*; got an array"),
        ({"noise": -0.1}, "noise must be a number from 0 to 2; got -0.1"),
        ({"noise": float("nan")}, "noise must be a number from 0 to 2; got nan"),
        ({"noise": "0.5"}, "noise must be a number from 0 to 2; got '0.5'"),
        ({"aspect_ratio": np.inf}, "aspect_ratio must be a number from 0.25 to 32; got inf"),
        ({"width": 2.5}, "width must be an integer from 1 to 6; got 2.5"),
        ({"depth": True}, "depth must be an integer from 2 to 4; got True"),
        ({"link": "tan"}, "link must be one of linear, tanh, .*; got 'tan'"),
        ({"activation": ["tanh"]}, r"activation must be one of tanh, .*; got \['tanh'\]"),
    ],
)
def test_settings_are_checked_at_the_door(settings, message, play):
    with pytest.raises(ValueError, match=message):
        sedyn.explore(**settings)
    if "show" not in settings:
        with pytest.raises(ValueError, match=message):
            play.update(**settings)


@pytest.mark.seconds
def test_numbers_of_any_kind_are_taken():
    play = sedyn.explore([], width=np.int64(2), noise=np.float32(0.5), aspect_ratio=2, n_steps=10.0)
    assert [type(play.settings[name]) for name in ("width", "noise", "aspect_ratio", "n_steps")] == [
        int,
        float,
        float,
        int,
    ]


@pytest.mark.seconds
def test_importing_sedyn_imports_neither_ipywidgets_nor_pyplot_and_who_lacks_it_is_told():
    code = """
import sys, sedyn
assert not {"ipywidgets", "IPython", "matplotlib.pyplot"} & set(sys.modules)
sys.modules["ipywidgets"] = None
try:
    sedyn.explore()
except ImportError as error:
    assert 'pip install "sedyn[notebooks]"' in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
