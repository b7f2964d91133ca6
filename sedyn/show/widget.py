"""Play with the theory: controls over `sedyn.state_evolution`, and the figure that follows them.

`problem_of`, `predict`, `train_once` and `draw` are plain functions of a dict of settings; `Explorer` joins them to
ipywidgets, which is imported only there.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from numbers import Real
from typing import Any

import numpy as np

from ..common import Array, shown
from ..model import (
    ACTIVATIONS,
    LINKS,
    Network,
    Overlaps,
    SingleIndex,
    Training,
)
from ..runs import Simulation, simulate
from ..theory import Evolution, state_evolution

RUN = "Simulated run"
# name: (group, label, choices, value at the start)
CONTROLS: dict[str, tuple[str, str, tuple, Any]] = {
    "aspect_ratio": ("Data", "rows per feature", (0.25, 0.35, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32), 1.5),
    "noise": ("Data", "label noise", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2), 0.5),
    "link": ("Data", "link", tuple(LINKS), "tanh"),
    "width": ("Network", "neurons per layer", (1, 2, 3, 4, 5, 6), 3),
    "depth": ("Network", "layers", (2, 3, 4), 2),
    "activation": ("Network", "activation", tuple(ACTIVATIONS), "tanh"),
    "init_scale": ("Network", "initial scale", (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.4, 2), 1.0),
    "step_size": ("Training", "step size", (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 5), 0.3),
    "n_steps": ("Training", "steps", (10, 20, 30, 40, 50, 60), 40),
    "n_features": (RUN, "features", (100, 200, 300, 500, 700, 1000), 300),
    "seed": (RUN, "seed", tuple(range(20)), 0),
}
LARGEST_RUN = 2 * 10**7  # numbers in X
RESPONSE_PATHS, RESPONSE_STEPS, RESPONSE_SIZE = 2**7, 20, 60  # the small tangent run: paths, most steps, most T q
CURVES, PALE = ("train_error", "generalization_error"), "0.75"
# The picture that stays on a static page is the output before the widget; where the widget lives it is in the way.
STYLE_SHEET = "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .sedyn-live) { display: none }</style>"


@dataclass(frozen=True)
class Prediction:
    """Content of the figure: the theory, overlaps |W_k|^2 and W_k^T mu (T'+1, 2, q), a kernel (steps, steps)."""

    settings: dict[str, Any]
    theory: Evolution
    overlaps: Array
    kernel: Array
    kernel_name: str


def problem_of(settings) -> tuple[Network, Training, SingleIndex, Overlaps, float]:
    """Network, training, teacher, overlaps and aspect ratio.

    A typical start: first-layer weights orthogonal to each other and to the signal, columns of the deep weights of unit
    length in random directions that never change, all times the initial scale.
    """
    q, hidden, scale = settings["width"], settings["depth"] - 1, settings["init_scale"]
    network = Network((q,) * hidden + (1,), (settings["activation"],) * hidden + ("identity",))
    deep = tuple(scale * W / np.linalg.norm(W, axis=0) for W in network.init(1, rng=1).deep)
    training = Training(settings["step_size"], settings["n_steps"])
    teacher = SingleIndex(settings["link"], settings["noise"])
    return network, training, teacher, Overlaps(scale**2 * np.eye(q), np.zeros(q), 1.0, deep), settings["aspect_ratio"]


def predict(settings) -> Prediction:
    """State evolution, accurate to 1 % of the height of the picture, and the response by a small tangent recursion.

    Where a kink of the activation forbids the latter, the covariance of the fluctuations takes its place. Both are
    averaged over neurons.
    """
    network, training, teacher, overlaps, phi = problem_of(settings)
    T, q = training.n_steps, network.widths[0]
    smooth = ACTIVATIONS[settings["activation"]].kink is None
    # kinks need many directions for little
    accuracy: dict[str, Any] = {"n_scrambles": 1, "tolerance": 2e-2 if smooth else 6e-2, "rng": 0}
    try:
        theory = state_evolution(network, training, teacher, overlaps, phi, n_paths=2**11, **accuracy)
    except ValueError:  # too few paths for so many directions
        theory = state_evolution(network, training, teacher, overlaps, phi, n_paths=2**12, **accuracy)
    kernel, name = theory.kernels.fluctuation, "Covariance of the fluctuations"
    if smooth:
        T = min(len(theory.train_error) - 1, RESPONSE_STEPS, RESPONSE_SIZE // q)
        small: dict[str, Any] = {"solver": "tangent", "n_paths": RESPONSE_PATHS, "n_scrambles": 1, "rng": 0}
        short = state_evolution(network, replace(training, n_steps=T), teacher, overlaps, phi, **small)
        kernel = short.kernels.R
        name = "Response at t to a push at s"
    lines = np.stack([np.einsum("ttkk->tk", theory.kernels.C), theory.kernels.c], axis=1)
    return Prediction(dict(settings), theory, lines, np.einsum("tskk->ts", kernel) / q, name)


def train_once(settings) -> tuple[Simulation, Array]:
    """One run of gradient descent from exactly the theory's overlaps, and its overlaps as in `Prediction`.

    Raises ValueError when it would take more than 160 MB of features.
    """
    network, training, teacher, overlaps, phi = problem_of(settings)
    n = settings["n_features"]
    m = round(phi * n)
    if m * n > LARGEST_RUN:
        raise ValueError(
            f"a run on {m} rows of {n} features is too large to play with; lower n_features or aspect_ratio, the rows "
            "per feature"
        )
    weights, signal = overlaps.realize(n, rng=settings["seed"])
    run = simulate(network, training, teacher, weights, signal, m, 1, rng=settings["seed"])
    C = np.einsum("ttkk->tk", run.C[0])
    return run, np.stack([C, run.c[0]], axis=1)


def draw(fig, now: Prediction, before: Prediction | None = None, simulated: tuple[Simulation, Array] | None = None):
    """Draw errors, overlaps and the heat map into a Figure whose axes are made once: that is what takes time.

    `before` is drawn pale. Heights are rounded up to 1, 2 or 5 times a power of ten, so that they seldom change.
    """
    import matplotlib.pyplot as plt

    from .plot import QUANTITIES, STYLE, learning_curves

    with plt.style.context(STYLE):
        errors, overlaps, heat, bar = fig.axes or _new_axes(fig)
        for artist in [*errors.lines, *errors.collections, *errors.texts, *overlaps.lines]:
            artist.remove()
        colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
        run, run_overlaps = simulated or (None, np.empty(0))
        for p in [before, now] if before else [now]:
            for row, line in enumerate(("-", "--")):
                for k, colour in zip(range(p.overlaps.shape[2]), colours, strict=False):
                    overlaps.plot(p.overlaps[:, row, k], line, color=colour if p is now else PALE, lw=1.5)
                    if p is now and run:
                        some = slice(None, None, max(1, len(run_overlaps) // 8))
                        values = run_overlaps[some, row, k]
                        overlaps.plot(range(len(run_overlaps))[some], values, "o", color=colour, mfc="w", ms=3.5)
            for name in CURVES if p is before else ():
                errors.plot(getattr(p.theory, name), color=QUANTITIES[name][1], alpha=0.3)
        learning_curves(now.theory, run, ax=errors)
        errors.get_legend().remove()
        general = now.theory.generalization_error
        best = int(np.argmin(general))
        errors.plot(best, general[best], "*", color="k", ms=11, zorder=5, clip_on=False)
        errors.annotate(f"best: t = {best}", (best, general[best]), (0, 9), textcoords="offset points", ha="center")
        top = max(getattr(x, name).max() for x in (now.theory, before and before.theory, run) if x for name in CURVES)
        errors.set(ylim=(0, _rounded_up(min(top, 1.5 * general[0]))), xlim=(0, now.settings["n_steps"]))
        low, high = np.clip([now.overlaps.min(), now.overlaps.max()], -5, 5)  # diverging curves are clipped
        overlaps.set(ylim=(-_rounded_up(-low) if low < -0.01 else 0, _rounded_up(high)), xlim=errors.get_xlim())
        steps = np.arange(len(now.kernel))
        largest = np.abs(np.where(steps[:, None] == steps, 0, now.kernel)).max(initial=1e-12)
        heat.images[0].set_data(np.ma.masked_where(steps[:, None] < steps, now.kernel / largest))
        heat.images[0].set_extent((-0.5, len(steps) - 0.5, len(steps) - 0.5, -0.5))
        heat.set_title(f"{now.kernel_name}:\nmean of the neurons")
        bar.set_yticks([-1, 0, 1], [f"−{largest:.1g}", "0", f"{largest:.1g}"])


def _new_axes(fig):
    from .plot import QUANTITIES

    fig.set_layout_engine("none")
    places = ((0.06, 0.35), (0.475, 0.205), (0.745, 0.168), (0.926, 0.012))
    errors, overlaps, heat, bar = (fig.add_axes((left, 0.14, width, 0.69)) for left, width in places)
    for x, (title, colour) in zip((0.06, 0.195), map(QUANTITIES.__getitem__, CURVES), strict=True):
        fig.text(x, 0.92, title, color=colour, size=11, weight="bold")
    fig.text(0.06, 0.855, "line: theory, pale: before the change, circles: simulated run", size=9)
    overlaps.set(title="Overlaps of each neuron:\n— with itself,  - - with the signal", xlabel="step t")
    heat.imshow(np.zeros((2, 2)), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
    heat.set(xlabel="step s", ylabel="step t")
    heat.grid(False)
    for axis in (errors.yaxis, overlaps.yaxis, errors.xaxis, overlaps.xaxis, heat.xaxis, heat.yaxis):
        axis.get_major_locator().set_params(nbins=4, integer=axis not in (errors.yaxis, overlaps.yaxis))
    fig.colorbar(heat.images[0], cax=bar)
    return fig.axes


def _rounded_up(x: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(x, 1e-6)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= x * (1 - 1e-9))


class Explorer:
    """Controls, the figure that follows them, and what it shows; made by `explore`.

    Attributes
    ----------
    settings : dict
    theory : Evolution
    best_stopping_time : int
        The step of least generalization error.
    run : Simulation or None
        Drawn over the theory after `simulate`, until the next change.
    message : str
        What the last change ran into, empty when all went well. A failed change leaves the settings as they were.
    controls, button, figure, widget
        The ipywidgets shown, by the name of their setting; that of the simulation; the matplotlib Figure; all together.
    """

    settings = property(lambda self: dict(self._now.settings))
    theory = property(lambda self: self._now.theory)
    best_stopping_time = property(lambda self: int(np.argmin(self.theory.generalization_error)))
    run = property(lambda self: self._simulated and self._simulated[0])

    def __init__(self, settings: dict[str, Any], show):
        import ipywidgets as widgets
        from matplotlib.figure import Figure

        self._now: Prediction = predict(settings)
        self._before: Prediction | None = None
        self._simulated: tuple[Simulation, Array] | None = None
        self._html, self._picture, self._follow = widgets.HTML(), None, True
        self.figure, self.message, self.controls = Figure(figsize=(10, 3.7), dpi=128), self._now.theory.message, {}
        self.button = widgets.Button(description="train it", tooltip="train one network, draw its run over the theory")
        self.button.on_click(lambda _: self.simulate())
        columns: dict[str, list] = {}
        for name in show:
            group, label, choices, _ = CONTROLS[name]
            kind = widgets.Dropdown if isinstance(choices[0], str) else widgets.SelectionSlider
            control = self.controls[name] = kind(options=_options(name, settings[name]), value=settings[name])
            control.description, control.continuous_update = label, False
            control.style.description_width, control.layout.width = "125px", "320px"
            control.observe(partial(self._moved, name), "value")
            columns.setdefault(group, [widgets.HTML(f"<b>{group}</b>")]).append(control)
        columns.get(RUN, []).append(self.button)
        if "Training" in columns:  # the two shortest columns in one
            columns["Training"] += columns.pop(RUN, [])
        box = widgets.HBox([widgets.VBox(column) for column in columns.values()])
        box.layout.flex_flow = "row wrap"
        self.widget = widgets.VBox([self._html, box])
        self._show()

    def theory_at(self, **changes) -> Evolution:
        """The theory with some settings changed, without moving the controls. ValueError as in `explore`."""
        return predict(_checked({**self.settings, **changes})).theory

    def update(self, **changes) -> None:
        """Change settings, controls and figure. ValueError as in `explore`; trouble with the numbers is a `message`."""
        settings = _checked({**self.settings, **changes})
        try:
            now = predict(settings)
            if any(CONTROLS[name][0] != RUN for name in changes):
                self._before = self._now
            self._now, self._simulated, self.message = now, None, now.theory.message
        except Exception as error:  # which a widget would hide in a log
            self.message = f"{type(error).__name__}: {error}"
        self._follow = False
        for name, control in self.controls.items():
            value = self.settings[name]
            if value != control.value:
                control.options = _options(name, value)
                control.value = value
        self._follow = True
        self._show()

    def _moved(self, name, change):
        if self._follow:
            self.update(**{name: change["new"]})

    def simulate(self) -> None:
        """Train one network and draw its run over the theory; trouble is a `message`."""
        self.button.disabled = True
        try:
            self._simulated = run, _ = train_once(self.settings)
            self.message = run.message
        except Exception as error:
            self.message = f"{type(error).__name__}: {error}"
        self.button.disabled = False
        self._show()

    def __reduce__(self):
        return partial(explore, tuple(self.controls), **self.settings), ()

    def __repr__(self):
        """The numbers of the figure in one sentence."""
        best, train, general = self.best_stopping_time, self.theory.train_error, self.theory.generalization_error
        return (
            f"Best stopping time t = {best}: generalization error {general[best]:.3g}. At t = {len(train) - 1}: "
            f"training error {train[-1]:.3g}, generalization error {general[-1]:.3g}, "
            f"gap {general[-1] - train[-1]:.3g}."
        )

    def _show(self):
        from IPython.display import Image

        draw(self.figure, self._now, self._before, self._simulated)
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi="figure", facecolor="white", pil_kwargs={"compress_level": 3})
        self._image = Image(file.getvalue(), width=960, alt=repr(self))
        self._html.value = (
            f"{STYLE_SHEET}<div class=sedyn-live><img alt='{self!r}' width=960 style='max-width: 100%; display: block' "
            f"src='data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}'><div role=status>{self!r}</div>"
            f"<div role=alert style='color: #c00; font-weight: bold'>{escape(self.message)}</div></div>"
        )
        if self._picture:
            self._picture.update(self._image)

    def _ipython_display_(self):
        """The figure as a picture, which a static page keeps; then the widget, which hides it where it lives."""
        from IPython.display import display

        self._picture = display(self._image, display_id=True)
        display({**self.widget._repr_mimebundle_(), "text/plain": f"{self!r} Run this cell to play."}, raw=True)


def _options(name, value):
    """The choices of a control, with `value` among them."""
    choices = CONTROLS[name][2]
    return choices if isinstance(value, str) else [(f"{x:g}", x) for x in sorted({*choices, value})]


def _checked(settings):
    """Settings with plain numbers, or ValueError."""
    clean: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in CONTROLS:
            raise ValueError(f"there is no setting {name!r}; use some of {', '.join(CONTROLS)}")
        choices = CONTROLS[name][2]
        low, high, kind = choices[0], choices[-1], float if any(isinstance(x, float) for x in choices) else int
        clean[name] = value
        if isinstance(low, str):
            if not isinstance(value, str) or value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}; got {shown(value)}")
            continue
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else np.nan
        if not low <= number <= high or kind(number) != number:
            what = "an integer" if kind is int else "a number"
            raise ValueError(f"{name} must be {what} from {low:g} to {high:g}; got {shown(value)}")
        clean[name] = kind(number)
    return clean


def explore(show=None, **settings) -> Explorer:
    """Play with the theory: sliders and menus over `state_evolution`, in JupyterLab.

    The figure shows the errors, the overlaps of every neuron with itself and with the signal, and the response kernel;
    the settings before the last change stay visible, pale. A button trains one network and draws its run over the
    theory. On a page without a kernel the figure stays as a picture.

    Parameters
    ----------
    show : sequence of str, optional
        The settings that get a control, all by default. The button comes with n_features or seed.
    **settings
        Where to start: aspect_ratio, noise, link, width (of all hidden layers), depth (number of weight matrices),
        activation, init_scale, step_size, n_steps; for the simulated run n_features and seed. Numbers may lie between
        the steps of a slider.

    Returns
    -------
    Explorer
        Shown by Jupyter when it is the last line of a cell; knows the `settings` and the `theory` on show.

    Raises
    ------
    ValueError
        For an unknown setting or a value out of range.
    ImportError
        Without ipywidgets.

    Examples
    --------
    >>> import sedyn
    >>> play = sedyn.explore(show=["noise", "aspect_ratio"], width=2, n_steps=10)
    >>> play.update(noise=0.8)  # or move the slider
    >>> play.settings["noise"], len(play.theory.train_error)
    (0.8, 11)
    """
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        raise ImportError('explore needs ipywidgets; install it with: pip install "sedyn[notebooks]"') from None
    if not (show is None or isinstance(show, (tuple, list)) and all(isinstance(name, str) for name in show)):
        example = show if isinstance(show, str) and show in CONTROLS else "noise"
        raise ValueError(f"show must be a list of settings, like [{example!r}]; got {shown(show)}")
    show, start = tuple(CONTROLS if show is None else show), {name: control[3] for name, control in CONTROLS.items()}
    _checked({name: start.get(name) for name in show})
    return Explorer(_checked({**start, **settings}), show)
