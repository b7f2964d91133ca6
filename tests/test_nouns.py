"""What nouns and results have in common: short reprs, tables in Jupyter, comparing, hashing, pickling, copying."""

import copy
import dataclasses
import inspect
import pickle
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import sedyn
from sedyn.common import Noun
from sedyn.model import ACTIVATIONS, LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")


# functions that pickle finds by their names
def wave(z):
    return np.sin(2 * z)


def growing(z, xi):
    return z + np.abs(z) * xi


def sum_of_squares(Z):
    return np.square(Z).sum(axis=0)


def decaying(t):
    return 0.2 / (1 + t)


def cube(a):
    return a**3


def cube_slope(a):
    return 3 * a**2


def cube_derivative(a, h):
    return 3 * a**2


def quartic(f, y):
    return (f - y) ** 3


def fourth(f, y):
    return (f - y) ** 4


def point(n, rng):
    return {"x": rng.random(), "v": rng.random(n)}


def fail(n, rng):
    raise ValueError("n < 1 & so on")


NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
BIASED = sedyn.Network((2, 2, 1), ("tanh", (cube, cube_slope), "identity"), bias=True)
TRAINING, TEACHER = sedyn.Training(0.1, 4), sedyn.SingleIndex("tanh", 0.3)
DEEP = ([[0.8], [-0.5]],)
OVERLAPS = sedyn.Overlaps([[1.0, 0.2], [0.2, 0.8]], [0.3, 0.1], 1.0, DEEP)
N, M = 30, 60
WEIGHTS, SIGNAL = OVERLAPS.realize(N, rng=0)


@cache
def data():
    return TEACHER.sample(M, SIGNAL, rng=1)


def blocks():
    gram, cross, signal = [np.eye(2)] * 3, np.full((3, 2, 2), 0.1), [np.eye(2)] * 3
    return sedyn.Overlaps(gram, cross, signal, DEEP, blocks=[(0.2, 0.5), (0.3, 1.0), (0.5, 2.0)])


def theory(overlaps=OVERLAPS, teacher=TEACHER, **options):
    options = {"n_paths": 2**9, "n_scrambles": 2, "rng": 0} | options
    return sedyn.state_evolution(NETWORK, TRAINING, teacher, overlaps, 2.0, **options)


def tangent():
    return theory(solver="tangent", metrics=["absolute", fourth])


def augmented(**options):
    return sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, *data(), rng=0, **options)


def plain():
    return sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, *data())


@cache
def ranking():
    networks = [sedyn.Network((width, 1), ("tanh", "identity")) for width in (1, 2)]
    return sedyn.tune(networks, [sedyn.Training(s, 4) for s in (0.1, 0.2, 0.3)], *data(), scales=(0.5, 1.0), rng=0)


def simulation(**options):
    options = {"rng": 2} | options
    return sedyn.simulate(NETWORK, TRAINING, TEACHER, WEIGHTS, SIGNAL, M, 3, **options)


def table():
    with ThreadPoolExecutor(1) as threads:
        return sedyn.sweep(point, {"n": [2, 3]}, 2, executor=threads, rng=0)


def dice():
    return sedyn.householder_dice(NETWORK, TRAINING, TEACHER, OVERLAPS, M, N, rng=0)


def diverged():
    """Whose message holds characters that mean something in HTML, as one of a user's might."""
    return dataclasses.replace(plain(), status="diverged", message="training diverged: <b>1e9</b> & more")


def data_table():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.csv")
        path.write_text("a,town,y\n" + "".join(f"{i % 7},{'UB'[i % 2]},{i * i % 11}\n" for i in range(40)))
        return sedyn.read_table(path, "y")


MAKE = {
    "Network": lambda: NETWORK,
    "Network with biases": lambda: BIASED,
    "Training": lambda: TRAINING,
    "Training of a schedule": lambda: sedyn.Training(decaying, 4, momentum=0.5, loss=quartic),
    "Training of arrays": lambda: sedyn.Training(np.full((100, 2), 0.1), 100, weight_decay=np.array([0.1, 0.0])),
    "Training of batches": lambda: sedyn.Training((0.1, 0.2), 4, batch_fraction=0.5, batch="bernoulli", loss="huber"),
    "SingleIndex": lambda: TEACHER,
    "SingleIndex of a function": lambda: sedyn.SingleIndex(growing, None),
    "MultiIndex": lambda: sedyn.MultiIndex("parity", 2, 0.1),
    "MultiIndex of a function": lambda: sedyn.MultiIndex(sum_of_squares, 3),
    "Weights": lambda: WEIGHTS,
    "Weights with biases": lambda: BIASED.init(N, rng=0),
    "Overlaps": lambda: OVERLAPS,
    "Overlaps of blocks": blocks,
    "Evolution": theory,
    "Evolution with responses": lambda: theory(responses=True, metrics="absolute"),
    "Evolution of the tangent solver": tangent,
    "Evolution of one scrambling": lambda: theory(n_scrambles=1),
    "Evolution of a lambda": lambda: theory(teacher=sedyn.SingleIndex(lambda z: z + np.sin(z), 0.3)),
    "Evolution of blocks": lambda: theory(blocks(), sedyn.MultiIndex("committee", 2)),
    "Band": lambda: theory().band(N, n_runs=16),
    "Kernels": lambda: theory().kernels,
    "Kernels with responses": lambda: tangent().kernels,
    "StandardErrors": lambda: tangent().stderr,
    "Trajectory": plain,
    "Trajectory that diverged": diverged,
    "Trajectory with an estimate": lambda: augmented(test=data(), metrics="absolute", first_weights_at="all"),
    "Simulation": simulation,
    "Simulation with everything": lambda: simulation(metrics=["absolute", fourth], first_weights_at=(0, 4)),
    "DiceRun": dice,
    "DataTable": data_table,
    "Stop": lambda: sedyn.early_stop(augmented()),
    "IntervalAccuracy": lambda: augmented().interval_accuracy(),
    "Candidate": lambda: ranking()[0],
    "Ranking": ranking,
    "Table": table,
    "Wide": lambda: sedyn.widen(NETWORK, TRAINING, 3),
    "Activation": lambda: ACTIVATIONS["gelu"],
    "Activation of one's own": lambda: sedyn.Activation("cube", cube, cube_derivative),
    "Loss": lambda: LOSSES["huber"],
    "Loss of one's own": lambda: sedyn.Loss("quartic", quartic),
    "Adam": lambda: sedyn.Adam(0.8, 0.9),
    "RMSProp": sedyn.RMSProp,
    "SignDescent": sedyn.SignDescent,
    "Proximal": lambda: sedyn.Proximal(0.1),
    "Clip": lambda: sedyn.Clip(1.0),
    "Training with an optimizer": lambda: sedyn.Training(0.1, 4, optimizer=(sedyn.Adam(), None)),
}
NAMES = list(MAKE)
ESTIMATORS = ("NetworkClassifier", "NetworkRegressor")  # scikit-learn's own conventions, and its checks of them


@cache
def made(name):
    return MAKE[name]()


def kind(name):
    return name.split()[0]


def test_the_list_is_complete():
    """Every class that sedyn offers is made above, but for base classes, what is no result, and what tests it alone."""
    classes = {name for name in sedyn.__all__ if name != "plot" and inspect.isclass(getattr(sedyn, name))}
    others = {
        "AgreementTest",
        "Teacher",
        "Optimizer",
        "Result",
        "AssumptionWarning",
        "Explorer",
        "Failure",
        "TableModel",
        *ESTIMATORS,
    }
    assert classes - others <= {kind(name) for name in NAMES}
    for name in NAMES:
        assert type(made(name)).__name__ == kind(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_shows_it_in_a_few_lines(name):
    lines = repr(made(name)).splitlines()
    assert 1 <= len(lines) <= 15 and max(map(len, lines)) <= 300, lines
    assert kind(name) in lines[0]
    assert "array([" not in repr(made(name)) and "0x" not in repr(made(name))


@pytest.mark.seconds
def test_a_cell_shows_the_explorer_in_a_few_lines():
    pytest.importorskip("ipywidgets")
    lines = repr(sedyn.explore(n_steps=10, width=1)).splitlines()
    assert len(lines) <= 15 and max(map(len, lines)) <= 300


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(made(name), Noun)])
def test_jupyter_shows_a_small_table(name):
    html = made(name)._repr_html_()
    rows = re.findall(r"<tr><th[^>]*>(.*?)</th><td>(.*?)</td></tr>", html)
    assert html.startswith("<table>") and html.endswith("</table>") and kind(name) in html
    assert min(1, len(made(name)._summary())) <= len(rows) <= 14 and len(html) < 4000
    tags = re.sub(r"</?(table|caption|tr|th|td)( style='text-align: left')?>", "", html)
    assert "<" not in tags and ">" not in tags  # of what is not ours, none is left
    assert "&" not in re.sub(r"&(lt|gt|amp|quot|#x27);", "", tags)


def test_jupyter_shows_a_message_as_text():
    html = diverged()._repr_html_()
    assert "diverged: training diverged: &lt;b&gt;1e9&lt;/b&gt; &amp; more" in html and "<b>" not in html
    links = sedyn.SingleIndex("tanh"), sedyn.Training(0.1, 2, loss=sedyn.Loss("<i>", quartic))
    assert "&lt;i&gt;" in links[1]._repr_html_() and "<i>" not in links[1]._repr_html_()


@pytest.mark.parametrize(
    "large",
    [
        lambda: sedyn.Training([[0.1, 0.2]] * 100, 100),  # a schedule as lists
        lambda: sedyn.Network((2,) * 60 + (1,), ("tanh",) * 60 + ("identity",)),
        lambda: sedyn.Network((2,) * 60 + (1,), ("tanh",) * 60 + ("identity",)).init(5, rng=0),
        lambda: sedyn.Overlaps(np.eye(100), np.zeros(100), 1.0, (np.ones((100, 1)),)),
        lambda: sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, *data(), metrics=["absolute"] * 40),
    ],
)
def test_a_cell_shows_something_large_in_a_few_lines(large):
    lines = repr(large()).splitlines()
    assert len(lines) <= 15 and max(map(len, lines)) <= 300, lines


def test_reprs_say_what_there_is():
    assert repr(NETWORK) == "Network(widths=(2, 1), activations=('tanh', 'identity'))"
    assert "cube" in repr(BIASED) and "bias=True" in repr(BIASED)
    assert repr(sedyn.SingleIndex(wave)) == "SingleIndex(link=wave)" and "noise=0.3" in repr(TEACHER)
    assert "step_size=array (100, 2)" in repr(made("Training of arrays"))
    assert "step_size=decaying" in repr(made("Training of a schedule"))
    assert "2 neurons, 1 signal, 1 block of features" in repr(OVERLAPS)
    assert "3 blocks" in repr(made("Overlaps of blocks"))
    shown = repr(made("Evolution"))
    assert f"{made('Evolution').train_error[-1]:.4g}" in shown and "projection, 2 x 512 paths" in shown
    assert "not computed; pass responses=True" in repr(made("Kernels"))
    assert "not computed" not in repr(made("Kernels with responses"))
    assert "± " not in repr(made("Evolution of one scrambling")) and "± " in shown
    assert "3, each on 60 samples of 30 features" in repr(made("Simulation"))
    assert repr(ranking()).splitlines()[-1] == ".. 2 more" and len(repr(ranking()).splitlines()) == 12
    assert "best_step" in repr(made("Trajectory with an estimate")) and "best_step" not in repr(made("Trajectory"))


@pytest.mark.parametrize("name", NAMES)
def test_it_survives_pickle_and_deepcopy(name):
    given = made(name)
    for other in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given), copy.copy(given)):
        assert type(other) is type(given) and (other == given) is True and (given == other) is True
        assert not (other != given)
        assert repr(other) == repr(given)
        if type(given).__hash__:
            assert hash(other) == hash(given)


def test_what_a_pickle_brings_back_works():
    for network in (NETWORK, BIASED):
        weights, other = network.init(N, rng=3), pickle.loads(pickle.dumps(network))
        np.testing.assert_array_equal(other.predict(weights, data()[0]), network.predict(weights, data()[0]))
    for name in ("Evolution of a lambda", "Evolution of the tangent solver", "Evolution of blocks"):
        given, other = made(name), pickle.loads(pickle.dumps(made(name)))
        np.testing.assert_array_equal(other.kernels.C, given.kernels.C)
        np.testing.assert_array_equal(other.kernels.stderr("P"), given.kernels.stderr("P"))
    for teacher in (TEACHER, sedyn.SingleIndex(growing, None), sedyn.MultiIndex("parity", 2)):
        signal = np.eye(5, teacher.n_indices)
        one, other = (t.sample(4, signal, rng=0)[1] for t in (teacher, pickle.loads(pickle.dumps(teacher))))
        np.testing.assert_array_equal(one, other)
    back = pickle.loads(pickle.dumps(made("Trajectory with an estimate")))
    np.testing.assert_array_equal(back.stopped.first, back.weights_at(back.best_step).first)


def test_a_pickle_after_the_kernels_were_looked_at_is_the_same():
    """What was calculated on the way, and kept, is no part of the comparison."""
    given = theory()
    before = pickle.loads(pickle.dumps(given))
    given.kernels.C, given.kernels.P, given.kernels.start.loadings  # noqa: B018
    after = pickle.loads(pickle.dumps(given))
    assert before == given == after == before


@pytest.mark.seconds
def test_a_theory_comes_back_from_another_process():
    """Of a link without a name, which could not travel itself: results hold no function."""
    arguments = NETWORK, TRAINING, TEACHER, OVERLAPS, 2.0
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        job = executor.submit(sedyn.state_evolution, *arguments, n_paths=2**9, n_scrambles=2, rng=0)
        simulated = executor.submit(sedyn.simulate, *arguments[:3], WEIGHTS, SIGNAL, M, 3, rng=2)
        there = executor.submit(copy.copy, made("Evolution of a lambda"))
        assert job.result() == made("Evolution")
        assert simulated.result() == made("Simulation")
        assert there.result() == made("Evolution of a lambda")


OTHERS = [None, 3, np.nan, "Network", (), [1, 2], {}, object, NotImplemented, NETWORK.widths]
ARRAYS = [np.ones(3), np.ones((2, 2)), np.zeros(0), np.array(None), np.array([NETWORK], object), np.float64(1)]


@pytest.mark.parametrize("name", NAMES)
def test_comparing_never_raises(name):
    """Tuples and lists leave it to numpy how they compare with an array, as all tuples and lists do."""
    given = made(name)
    for other in [*map(made, NAMES), *OTHERS, *(ARRAYS if isinstance(given, Noun) else [])]:
        assert type(given == other) is bool and type(given != other) is bool
        assert (given == other) is (other is given) is not (given != other)


def test_equal_are_those_made_alike_and_no_others():
    for one, other in product(NAMES, NAMES):
        assert (made(one) == made(other)) is (one == other), (one, other)


@pytest.mark.parametrize(
    "name",
    [
        "Network with biases",
        "Training of arrays",
        "MultiIndex",
        "Overlaps of blocks",
        "Evolution",
        "Simulation",
        "DiceRun",
    ],
)
def test_what_is_made_twice_is_equal_and_has_one_hash(name):
    one, other = MAKE[name](), MAKE[name]()
    assert one == other and hash(one) == hash(other) and len({one, other}) == 1


def test_every_field_counts():
    """Of nouns whose fields are changed one by one, none is equal to the first."""
    changes = {
        "Network with biases": [{"bias": False}, {"activations": ("tanh", "tanh", "identity")}, {"widths": (3, 2, 1)}],
        "Training of arrays": [
            {"step_size": np.full((100, 2), 0.2)},
            {"weight_decay": np.array([0.1, 0.1])},
            {"momentum": 0.1},
            {"batch": "bernoulli"},
            {"loss": "huber"},
        ],
        "SingleIndex": [{"link": "sine"}, {"noise": 0.4}],
        "MultiIndex": [{"link": "product"}, {"n_indices": 3}, {"noise": 0.0}],
        "Weights": [{"first": WEIGHTS.first + 1e-9}, {"deep": (np.ones((2, 1)),)}, {"biases": (np.zeros(2),)}],
        "Overlaps": [{"cross": [[0.3, 0.0]]}, {"signal_gram": [2.0]}, {"blocks": [(1.0, 2.0)]}],
    }
    for name, fields in changes.items():
        for change in fields:
            other = dataclasses.replace(made(name), **change)
            assert other != made(name) and made(name) != other, (name, change)
    run = made("Trajectory")
    for field in dataclasses.fields(run):
        other = dataclasses.replace(run, **{field.name: "something else"})
        assert other != run, field.name


def test_arrays_and_sequences_of_the_same_numbers_are_equal():
    assert sedyn.Training((0.1, 0.2), 3) == sedyn.Training(np.array([0.1, 0.2]), 3) == sedyn.Training([0.1, 0.2], 3)
    assert len({sedyn.Training((0.1, 0.2), 3), sedyn.Training(np.array([0.1, 0.2]), 3)}) == 1
    assert sedyn.Training(0.1, 3) != sedyn.Training((0.1, 0.1), 3)
    with_nan = dataclasses.replace(made("Trajectory"), train_error=np.array([1.0, np.nan]))
    assert with_nan == copy.deepcopy(with_nan) != made("Trajectory")


def test_a_failed_candidate_compares_and_travels():
    X, y = data()
    (candidate,) = failed = sedyn.tune(
        sedyn.Network((1, 1), ("tanh", "identity")), sedyn.Training(0.1, 2, loss="logistic"), X, y, rng=0
    )
    assert candidate.status == "failed" and len(repr(failed).splitlines()) <= 15
    assert pickle.loads(pickle.dumps(failed)) == failed


def test_failures_of_a_sweep_compare_and_travel():
    with ThreadPoolExecutor(1) as threads, pytest.warns(UserWarning, match="2 failed"):
        broken = sedyn.sweep(fail, {"n": [2, 3]}, executor=threads, rng=0)
    assert pickle.loads(pickle.dumps(broken.failures)) == broken.failures
    assert len(repr(broken).splitlines()) <= 15


def public_callables():
    """(name, function) of every public function, and of every public method of the classes."""
    for name in sorted(set(sedyn.__all__) - {"plot", "__version__"}):
        found = getattr(sedyn, name)
        if not inspect.isclass(found):
            yield name, found
            continue
        for method, value in inspect.getmembers(found):
            if not method.startswith("_") and (inspect.isfunction(value) or inspect.ismethod(value)):
                yield f"{name}.{method}", value


def test_rng_is_a_keyword_with_default_none_everywhere():
    seen = []
    for name, function in public_callables():
        parameter = inspect.signature(function).parameters.get("rng")
        if parameter is not None:
            seen.append(name)
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, name
            # a band is the theory's own, and the same each time
            assert parameter.default == (0 if name == "Evolution.band" else None), name
    expected = {"Network.init", "SingleIndex.sample", "MultiIndex.sample", "Overlaps.realize", "random_signal"}
    expected |= {"sample_features", "gradient_descent", "augmented_gradient_descent", "linearized_gradient_descent"}
    expected |= {"state_evolution", "householder_dice", "population_error", "population_errors", "simulate", "tune"}
    assert expected | {"sweep"} <= set(seen)


def test_options_are_keywords():
    """What may be given by position has no default, but for the few names below."""
    allowed = {"test", "reference", "n_seeds", "show", "stderr", "scaling", "level"}
    inner = {"Network.gradients", "Network.hessian", "Network.validate_small"}  # of the solvers, not of users
    for name, function in public_callables():
        if name.startswith(ESTIMATORS):
            continue
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and parameter.default is not parameter.empty:
                assert parameter.name in allowed or name in inner, f"{name}({parameter.name}=..)"
