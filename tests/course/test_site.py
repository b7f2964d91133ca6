"""The website: nothing missing from its pages, one symbol for one object, its formulas hold, it reads well."""

import functools
import http.server
import importlib
import json
import re
import subprocess
import sys
import threading
from importlib.util import find_spec, module_from_spec, spec_from_file_location

import numpy as np
import pytest

import sedyn
from tests.conftest import REFERENCE, general_problem
from tests.course import NOTEBOOKS, ROOT, SPINE, TOPICS

DOCS = ROOT / "docs"
THEORY, REFERENCE_PAGE, INDEX, NOTATION, COURSE, BIBLIOGRAPHY = (
    (DOCS / f"{name}.md").read_text() for name in ("theory", "api", "index", "notation", "course", "bibliography")
)
BUILDERS = ("sphinx", "myst_nb", "sphinx_book_theme", "numpydoc", "sphinx_copybutton", "sphinx-mathjax-offline")
# what had two names or two meanings before the page of notation: covariances, overlaps at the start, noise, echo
FORBIDDEN = r"\\Gamma_\{|\\Phi_\{|(?<![A-Za-z\\])(?:G_0|N_t|N_s|H_t|F_0)\b|\bGc\b"


def texts(path):
    """The markdown of a notebook."""
    cells = json.loads(path.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


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
    for part in THEORY.split("\n## ")[1:-1]:  # every numbered section says where it is and what stands behind it
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


def test_every_equation_that_has_a_number_is_referred_to():
    numbers = re.findall(r"\\tag\{([\d.]+)\}", THEORY)
    anchors = re.findall(r'^<a id="eq-([\d-]+)"></a>\n\n\$\$', THEORY, re.M)
    assert anchors == [tag.replace(".", "-") for tag in numbers]
    assert len(set(numbers)) == len(numbers) > 30
    cited = re.findall(r"\[\(([\d.]+)\)\]\((?:theory\.md)?#eq-([\d-]+)\)", THEORY + NOTATION)
    assert all(shown.replace(".", "-") == target for shown, target in cited)
    assert {shown for shown, _ in cited} == set(numbers)
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## ([A-Z].*)", THEORY, re.M)}
    for path in NOTEBOOKS:
        targets = set(re.findall(r"theory\.md#(\S+?)\)", texts(path)))
        assert targets <= set(re.findall(r'<a id="(.*?)">', THEORY)) | headings, path.name


def test_one_symbol_stands_for_one_object():
    rows = [row.split(" | ") for row in re.findall(r"^\| (\$.*) \|$", NOTATION, re.M)]
    symbols = [symbol for row in rows for symbol in row[0].strip("$").split(", ")]
    names = [row[1].strip() for row in rows]
    assert len(symbols) == len(set(symbols)) > 60 and len(names) == len(set(names))
    for noun, attribute in re.findall(r"`([A-Z]\w+)\.(\w+)`", NOTATION):
        if known := getattr(sedyn, noun, None):
            assert hasattr(known, attribute) or attribute in known.__dataclass_fields__, (noun, attribute)
    for path in [*DOCS.glob("*.md"), *(ROOT / "sedyn").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        assert not re.findall(FORBIDDEN, path.read_text()), path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_use_the_symbols_of_the_page(path):
    assert not re.findall(FORBIDDEN, texts(path))
    assert "docs/notation.md" in texts(path)


def test_everything_that_is_cited_is_in_the_bibliography():
    anchors = set(re.findall(r'<a id="arxiv-(.*?)"></a>', BIBLIOGRAPHY))
    listed = set(re.findall(r"arxiv\.org/abs/([\w./-]+\d)", BIBLIOGRAPHY))
    assert anchors == {re.sub(r"[./]", "-", number) for number in listed} and len(listed) > 12
    pages = [*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "figures/README.md"]
    code = [*(ROOT / "sedyn").rglob("*.py"), *(ROOT / "notebooks").rglob("claims*.py"), *NOTEBOOKS]
    for path in [*pages, *code]:
        text = path.read_text()
        cited = set(re.findall(r"(?:arXiv:|arxiv\.org/abs/)(\d{4}\.\d{4,5}|[a-z-]+/\d{7})", text))
        assert cited <= listed, path.name
        assert set(re.findall(r"bibliography\.md#arxiv-([\w-]+)", text)) <= anchors, path.name


def test_the_map_holds_every_notebook_with_its_minutes():
    spine, topics = (part.split("\n## ")[0] for part in COURSE.split("\n## ")[2:4])
    for part, notebooks, least, most in ((spine, SPINE, 45, 75), (topics, TOPICS, 60, 180)):
        rows = re.findall(r"\[.*?\]\(\.\./(notebooks/\S+?)\) \| (\d+) \|", part)
        assert sorted(place for place, _ in rows) == [path.relative_to(ROOT).as_posix() for path in notebooks]
        assert all(least <= int(minutes) <= most for _, minutes in rows)
    for text in (ROOT / "README.md", DOCS / "guide.md", DOCS / "index.md"):
        assert "course.md" in text.read_text(), text.name


def test_every_page_is_in_the_navigation():
    trees = dict(re.findall(r"```\{toctree\}\n:caption: (.*?)\n(.*?)```", INDEX, re.S))
    listed = {entry for tree in trees.values() for entry in tree.split("\n") if entry and entry[0] != ":"}
    pages = {f"/{path.relative_to(ROOT).with_suffix('')}" for path in DOCS.glob("*.md") if path.name != "index.md"}
    pages |= {f"/{folder}/README" for folder in ("figures", "benchmarks")} | {"/CHANGELOG", "/CONTRIBUTING"}
    pages |= {"/notebooks/*"} | {f"/{path.relative_to(ROOT).with_suffix('').as_posix()}" for path in TOPICS}
    assert pages == {entry if "/" in entry else f"/docs/{entry}" for entry in listed}
    assert list(trees)[:2] == ["The course", "Topics"]
    assert [path.name[:2] for path in SPINE] == [f"{i:02}" for i in range(len(SPINE))]  # the style sheet counts them
    for path in NOTEBOOKS:
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
    good = '<a href="b.html#there">b</a> <img src="c.png" alt="A rising curve."> <a href="https://a.org">out</a>'
    (tmp_path / "a.html").write_text(good + '<a href="#here" id="here">')
    (tmp_path / "b.html").write_text('<p id="there">')
    (tmp_path / "c.png").touch()
    assert links()(tmp_path) == ([], 3)
    bad = [
        '<a href="b.html#elsewhere">',
        '<img src="d.png" alt="A falling curve.">',
        '<a href="d.html">',
        '<img src="https://cdn.org/badge.svg" alt="A badge.">',
        '<script src="https://cdn.org/a.js">',
    ]
    (tmp_path / "b.html").write_text('<p id="there">' + "".join(bad))
    wrong, count = links()(tmp_path)
    assert len(wrong) == 5 and count == 6


@pytest.mark.parametrize("text", ["", 'alt=""', 'alt="../_images/0a1b2c.png"', 'alt="c.png"', 'alt=" C.SVG "'])
def test_a_picture_without_a_text_is_found(tmp_path, text):
    (tmp_path / "c.png").touch()
    (tmp_path / "a.html").write_text(f'<img src="c.png" {text}>')
    (wrong,), _ = links()(tmp_path)
    assert "text" in wrong


needs_builders = pytest.mark.skipif(
    any(find_spec(name) is None for name in BUILDERS), reason='needs the extra site: pip install "sedyn[site]"'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make site` builds it."""
    home = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "-d", str(home / "trees")]
    built = subprocess.run([*command, ".", str(home / "site")], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return home / "site"


@pytest.mark.minutes
@needs_builders
def test_site_builds_without_warnings_and_holds_what_it_should(site):
    wrong, count = links()(site)
    assert not wrong and count > 1000
    for path in NOTEBOOKS:
        place = path.relative_to(ROOT).with_suffix("").as_posix()
        page = (site / f"{place}.html").read_text()
        assert page.count("<img") >= 3 and "cell_output" in page, path.name  # badges and figures
        assert f"{place}.ipynb" in page and (site / f"_sources/{place}.ipynb").exists()  # to download
        for address in ("https://colab.research.google.com/github/", "https://mybinder.org/v2/gh/"):
            assert len(re.findall(rf'href="{address}\S*{place}.ipynb"', page)) >= 2, path.name  # badge, launch button
        assert "prev-next-area" in page and 'class="cite"' not in page
    for path in DOCS.glob("*.md"):
        page = (site / f"docs/{path.stem}.html").read_text()
        assert f"sedyn {sedyn.__version__}, and Q. Han" in page and 'class="cite"' in page, path.name
    assert (site / "_static/copybutton.js").exists()
    reference = (site / "docs/api.html").read_text()
    classes = {"SingleIndex.sample", "Evolution.save", "Network.init"}
    for name in set(sedyn.__all__) - {"plot", "__version__"} | classes:
        assert f'id="sedyn.{name}"' in reference, name
    assert 'href="theory.html#theory-4"' in reference
    theory = (site / "docs/theory.html").read_text()
    assert "_static/mathjax/tex-chtml.js" in theory and (site / "_static/mathjax/tex-chtml.js").exists()


@pytest.mark.minutes
@needs_builders
def test_nothing_of_the_answers_is_on_the_site(site):
    for path in site.rglob("*"):
        assert not re.search(r"assignments|GUIDE|wrong_answers|grad(er|ing)", path.relative_to(site).as_posix()), path
        if path.suffix in (".html", ".js", ".ipynb", ".md"):
            text = path.read_text(encoding="utf-8")
            assert "BEGIN SOLUTION" not in text and "BEGIN HIDDEN TESTS" not in text, path
    guide = "https://github.com/sedyn/sedyn/blob/main/notebooks/assignments/GUIDE.md"
    assert f'href="{guide}"' in (site / "docs/course.html").read_text()


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def reader(site, browser):
    """A page in Chromium, as wide as a phone, the address of the site, and what was asked of other servers."""
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address, outside = f"http://127.0.0.1:{server.server_port}", []

        def refuse(route):
            outside.append(route.request.url)
            route.abort()

        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.set_default_timeout(120_000)
        page.route(lambda url: not url.startswith((address, "data:")), refuse)
        yield page, address, outside
        page.close()
        server.shutdown()


@pytest.mark.minutes
@needs_builders
def test_nothing_is_wider_than_a_phone_and_all_formulas_are_right(site, reader):
    page, address, outside = reader
    wrong = {}
    for path in sorted(site.rglob("*.html")):
        place = path.relative_to(site).as_posix()
        if place[0] != "_":
            page.goto(f"{address}/{place}")
            page.wait_for_function("!window.MathJax?.startup || MathJax.startup.promise.then(() => true)")
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > 390 or page.locator("mjx-merror").count():
                wrong[place] = width, page.locator("mjx-merror").all_inner_texts()
    assert not wrong and not outside


@pytest.mark.minutes
@needs_builders
def test_excerpts_of_a_search_read_the_page(reader):
    page, address, outside = reader
    page.goto(f"{address}/search.html?q=memory")
    page.wait_for_function("document.querySelectorAll('.search li .context').length > 5")
    excerpts = page.locator(".search li .context").all_inner_texts()
    assert not any("System Settings" in text for text in excerpts) and not outside
    assert sum("memor" in text.lower() for text in excerpts) > len(excerpts) / 2
