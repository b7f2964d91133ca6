"""The website: nothing missing from its pages, its formulas hold, and it builds."""

import importlib
import json
import re
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import sedyn
from tests.conftest import REFERENCE, general_problem

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
THEORY, REFERENCE_PAGE, INDEX = ((DOCS / name).read_text() for name in ("theory.md", "api.md", "index.md"))
BUILDERS = ("sphinx", "myst_nb", "sphinx_book_theme", "numpydoc", "sphinx-mathjax-offline")


def resolve(name):
    """The object behind a dotted name; modules are imported on the way."""
    found = importlib.import_module("sedyn")
    for part in name.split(".")[1:]:
        if not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


def test_every_cited_section_of_the_theory_is_on_the_page():
    sections = re.findall(r'^<a id="theory-(\d+)"></a>\n\n## (\d+)\. ', THEORY, re.M)
    assert [a for a, _ in sections] == [b for _, b in sections] == [str(i + 1) for i in range(len(sections))]
    assert len(sections) == len(re.findall(r"^## \d", THEORY, re.M))
    cited = set()
    for folder in ("sedyn", "tests", "benchmarks", "notebooks"):
        for path in (ROOT / folder).rglob("*.py"):
            for citation in re.findall(r"\btheory (\d+(?:, \d+)*)(?![\d.]\d)", path.read_text()):
                cited |= set(citation.split(", "))
    assert {"1", "2", "3", "4", "5", "6", "7"} <= cited <= {number for number, _ in sections}
    for part in THEORY.split("\n## ")[2:-1]:  # every numbered section says where it is and what stands behind it
        assert "*Code:*" in part and "*Status:*" in part, part[:40]


def test_every_name_on_the_theory_page_exists():
    names = set(re.findall(r"`(sedyn\.[\w.]+)`", THEORY))
    assert len(names) > 30
    for name in names:
        resolve(name)
    for path in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", THEORY):
        assert (ROOT / path).exists(), path


def test_every_public_name_is_in_the_reference():
    documented = re.findall(r"^\.\. auto(\w+):: sedyn\.([\w.]+)$", REFERENCE_PAGE, re.M)
    names = [name for _, name in documented]
    assert len(names) == len(set(names))
    plots = {f"plot.{name}" for name, value in vars(sedyn.plot).items() if value.__class__.__name__ == "function"}
    own = {name for name in plots if resolve(f"sedyn.{name}").__module__ == "sedyn.show.plot" and "._" not in name}
    assert (set(sedyn.__all__) - {"plot", "__version__"}) | own <= set(names)
    for kind, name in documented:
        expected = "function" if not isinstance(resolve(f"sedyn.{name}"), type) else "class"
        assert kind == expected or kind == "exception", name


def test_every_page_is_in_the_navigation():
    listed = {entry for tree in re.findall(r"```\{toctree\}\n(.*?)```", INDEX, re.S) for entry in tree.split("\n")}
    pages = {f"/{path.relative_to(ROOT).with_suffix('')}" for path in DOCS.glob("*.md") if path.name != "index.md"}
    for folder in ("figures", "benchmarks"):
        pages.add(f"/{folder}/README")
    pages |= {"/CHANGELOG", "/CONTRIBUTING", "/notebooks/*", "/notebooks/assignments/GUIDE"}
    assert pages == {entry if "/" in entry else f"/docs/{entry}" for entry in listed if entry and entry[0] != ":"}
    numbers = [path.name[:2] for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert numbers == [f"{i:02}" for i in range(len(numbers))]  # the style sheet counts them
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        first = json.loads(path.read_text())["cells"][0]
        assert first["cell_type"] == "markdown" and "".join(first["source"]).startswith("# "), path.name


def test_reference_problems_on_the_page_are_those_of_the_tests():
    for name, problem in REFERENCE.items():
        rows = {
            key: [float(x) for x in row.split("|")]
            for key, row in re.findall(rf"^\| {name} (train|generalization) \| (.*) \|$", THEORY, re.M)
        }
        assert rows["train"] == [*problem["train"], problem["train_se"]]
        assert rows["generalization"] == [*problem["general"], problem["general_se"]]
        (end,) = re.findall(rf"^- {name}: (.*)$", THEORY, re.M)
        assert [float(x) for x in end.split()] == problem["deep_end"]
        (row,) = re.findall(rf"^\| {name} \| (\d.*?) \|", THEORY, re.M)
        assert tuple(int(x) for x in row.split(",")) == problem["widths"]
        (row,) = re.findall(rf"^\| {name} \| \d.*?\|.*?\| (.*?) \| \$W", THEORY, re.M)
        wanted = [problem[key] for key in ("noise", "aspect_ratio", "step_size", "n_steps")]
        assert [float(x) for x in row.split("|")] == wanted


def test_overlaps_follow_from_their_coefficients():
    """Theory 2: C and c from P, kappa and F, and rho from R, as the page writes them."""
    network, training, *rest = problem = general_problem(n_steps=5)
    overlaps, phi, eta = problem[3], problem[4], 0.3
    kernels = sedyn.state_evolution(*problem, n_paths=2**10, rng=0, n_scrambles=1, solver="tangent").kernels
    P, kappa, norm2 = kernels.P, kernels.kappa, overlaps.signal_gram.item()
    start = np.einsum("tab,b->ta", P, overlaps.cross[0, :, 0])
    np.testing.assert_allclose(kernels.c, start + norm2 * kappa, atol=1e-10)
    C = np.einsum("tab,bc,sdc->tsad", P, overlaps.gram[0], P) + kernels.fluctuation
    C += np.einsum("ta,sb->tsab", start, kappa) + np.einsum("ta,sb->tsab", kappa, start)
    C += norm2 * np.einsum("ta,sb->tsab", kappa, kappa)
    np.testing.assert_allclose(kernels.C, C, atol=1e-10)
    R, rho = kernels.R, np.zeros_like(kernels.rho)
    for t in range(5):
        for r in range(t + 1):
            memory = sum((R[t, s] @ rho[s, r] for s in range(r + 1, t + 1)), np.eye(3) / phi * (r == t))
            rho[t + 1, r] = rho[t, r] - eta * memory
    np.testing.assert_allclose(kernels.rho, rho, atol=1e-12)


def linear_memory(phi, eta, n_steps):
    """Theory 8: R and rho of the linear network along a frozen unit vector w."""
    R, rho = np.zeros((n_steps, n_steps)), np.zeros((n_steps + 1, n_steps))
    for t in range(n_steps):
        R[: t + 1, : t + 1] = np.linalg.inv(np.eye(t + 1) - rho[: t + 1, : t + 1])
        for r in range(t + 1):
            rho[t + 1, r] = rho[t, r] - eta * ((r == t) / phi + R[t, r + 1 : t + 1] @ rho[r + 1 : t + 1, r])
    return R, rho


LINEAR = sedyn.Network((2, 1), ("identity", "identity"))
OUT = np.array([[0.6], [-0.8]])


def test_linear_network_has_a_memory_that_knows_no_data(rng):
    phi, eta, T = 1.25, 0.2, 7
    R, rho = linear_memory(phi, eta, T)
    overlaps = sedyn.Overlaps([[1.0, 0.3], [0.3, 0.6]], [0.4, -0.2], 1.5, (OUT,))
    theory = sedyn.state_evolution(
        LINEAR,
        sedyn.Training((eta, 0.0), T),
        sedyn.SingleIndex("tanh", 0.4),
        overlaps,
        phi,
        n_paths=2**8,
        n_scrambles=1,
        rng=0,
        solver="tangent",
    )
    along = OUT[:, 0]
    np.testing.assert_allclose(np.einsum("a,tsab,b->ts", along, theory.kernels.R, along), R, atol=1e-12)
    np.testing.assert_allclose(np.einsum("a,tsab,b->ts", along, theory.kernels.rho, along), rho, atol=1e-12)


def test_estimate_of_a_linear_network_in_closed_form(rng):
    """Theory 5 and 8: gradient descent by hand, the memory taken away, scored against the labels."""
    m, n, eta, T = 150, 120, 0.2, 7
    weights = sedyn.Weights(LINEAR.init(n, rng=rng).first, (OUT,))
    X, y = sedyn.SingleIndex("sine", 0.3).sample(m, sedyn.random_signal(n, rng=rng), rng=rng)
    run = sedyn.augmented_gradient_descent(LINEAR, sedyn.Training((eta, 0.0), T), weights, X, y, method="exact", rng=0)
    _, rho = linear_memory(m / n, eta, T)
    theta, residuals, estimates = weights.first @ OUT[:, 0], [], []
    for t in range(T + 1):
        residuals.append(X @ theta - y)
        left_out = residuals[t] - sum(rho[t, r] * residuals[r] for r in range(t))
        estimates.append(np.mean(left_out**2))
        theta = theta - eta / m * X.T @ residuals[t]
    np.testing.assert_allclose(run.estimated_error, estimates, rtol=1e-10)


def links():
    spec = spec_from_file_location("check_links", DOCS / "check_links.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.broken_links


def test_broken_links_are_found(tmp_path):
    good = '<a href="b.html#there">b</a> <img src="c.png"> <a href="https://a.org">out</a> <a href="#here" id="here">'
    (tmp_path / "a.html").write_text(good)
    (tmp_path / "b.html").write_text('<p id="there">')
    (tmp_path / "c.png").touch()
    assert links()(tmp_path) == ([], 3)
    bad = [
        '<a href="b.html#elsewhere">',
        '<img src="d.png">',
        '<a href="d.html">',
        '<script src="https://cdn.org/a.js">',
    ]
    (tmp_path / "b.html").write_text('<p id="there">' + "".join(bad))
    wrong, count = links()(tmp_path)
    assert len(wrong) == 4 and count == 6


@pytest.mark.minutes
@pytest.mark.skipif(
    any(find_spec(name) is None for name in BUILDERS), reason='needs the extra site: pip install "sedyn[site]"'
)
def test_site_builds_without_warnings_and_without_broken_links(tmp_path):
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "-d", str(tmp_path / "trees")]
    built = subprocess.run([*command, ".", str(site)], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    wrong, count = links()(site)
    assert not wrong and count > 1000
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        page = (site / "notebooks" / f"{path.stem}.html").read_text()
        assert page.count("<img") >= 1 and "cell_output" in page, path.name
    reference = (site / "docs/api.html").read_text()
    classes = {"SingleIndex.sample", "Evolution.save", "Network.init"}
    for name in set(sedyn.__all__) - {"plot", "__version__"} | classes:
        assert f'id="sedyn.{name}"' in reference, name
    assert 'href="theory.html#theory-4"' in reference
    theory = (site / "docs/theory.html").read_text()
    assert "_static/mathjax/tex-chtml.js" in theory and (site / "_static/mathjax/tex-chtml.js").exists()
