"""Files that must agree with each other: pyproject, environment, Makefile, README, citation."""

import contextlib
import io
import json
import re
import sys
import tomllib
from importlib import resources
from pathlib import Path

import matplotlib
import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import claims
import sedyn
from tests.course import NOTEBOOKS

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
README = (ROOT / "README.md").read_text()


def test_environment_installs_the_package_with_all_extras():
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert conda == ["python" + PROJECT["project"]["requires-python"], "pip"]
    (requirement,) = pip["pip"]
    assert set(re.fullmatch(r"-e \.\[(.*)\]", requirement).group(1).split(",")) == set(
        PROJECT["project"]["optional-dependencies"]
    )


def test_binder_installs_the_package_with_declared_extras():
    lines = (ROOT / ".binder/requirements.txt").read_text().splitlines()
    (requirement,) = [line for line in lines if not line.startswith("#")]
    extras = set(re.fullmatch(r"-e \.\[(.*)\]", requirement).group(1).split(","))
    assert "notebooks" in extras <= set(PROJECT["project"]["optional-dependencies"])
    python = (ROOT / ".binder/runtime.txt").read_text().strip().removeprefix("python-")
    assert Version(python) in SpecifierSet(PROJECT["project"]["requires-python"])


def test_makefile_installs_declared_extras():
    installed = [set(extras.split(",")) for extras in re.findall(r'-e "\.\[(.*?)\]"', MAKEFILE)]
    assert set.union(*installed) == set(PROJECT["project"]["optional-dependencies"])
    assert {"data"} <= set.intersection(*installed)


def test_every_dependency_has_an_upper_bound():
    extras = PROJECT["project"]["optional-dependencies"].values()
    for requirement in [*PROJECT["project"]["dependencies"], *(r for extra in extras for r in extra)]:
        assert requirement.startswith("sedyn[") or "<" in requirement or "==" in requirement, requirement


def test_style_is_installed_and_declared():
    style = resources.files("sedyn.show") / "sedyn.mplstyle"
    assert style.is_file()
    with matplotlib.style.context(sedyn.plot.STYLE):
        assert matplotlib.rcParams["axes.spines.right"] is False
    files = [path for path in (ROOT / "sedyn").rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    data = [path for path in files if path.suffix != ".py"]
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["sedyn"]
    assert data and all(any(path.match(pattern) for pattern in patterns) for path in data)


def test_one_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == sedyn.__version__
    assert re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M).group(1) == sedyn.__version__
    assert "version" not in PROJECT["project"]


def test_commands_in_the_texts_are_make_targets():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    assert {
        "run",
        "fast",
        "test",
        "test-all",
        "lab",
        "notebooks",
        "lite",
        "figures",
        "bench",
        "site",
        "check",
        "dist",
        "clean",
        "help",
    } <= targets
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(), (ROOT / ".ci/run").read_text()):
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M))
        assert named and named <= targets
    for job in jobs():
        assert set(re.findall(r"make ([a-z-]+)", "".join(step.get("run", "") for step in job["steps"]))) <= targets


def jobs():
    """All jobs of the workflows."""
    paths = (ROOT / ".github/workflows").glob("*.yml")
    return [job for path in paths for job in yaml.safe_load(path.read_text())["jobs"].values()]


def test_workflows_install_declared_extras_on_the_oldest_python_and_newer_ones():
    oldest = Version(PROJECT["project"]["requires-python"].removeprefix(">="))
    for job in jobs():
        commands = "\n".join(step.get("run", "") for step in job["steps"])
        for extras in re.findall(r'-e "\.\[(.*?)\]"', commands):
            assert {"test"} <= set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
        versions = job.get("strategy", {}).get("matrix", {}).get("python")
        if versions or "lowest" in commands:
            given = [step["with"]["python-version"] for step in job["steps"] if "python" in step.get("uses", "")]
            assert min(map(Version, versions or given)) == oldest


def test_checks_before_a_commit_are_those_of_make_check():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].removesuffix(" --force-exclude") for hook in repository["hooks"]]
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.M).group(1)
    checked = [re.sub(r"\$\(BIN\)/|--check|\.$", "", line).split() for line in recipe.splitlines()]
    assert [line for line in map(" ".join, checked)] == entries[: len(checked)]


def test_links_in_the_texts_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/guide.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / name).read_text()):
            if link.startswith("notebooks/") and not NOTEBOOKS:
                continue  # a checkout without the course
            assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"


def test_notebooks_link_to_what_exists_and_stay_small():
    for path in NOTEBOOKS:
        assert path.stat().st_size < 500_000, path.name
        cells = json.loads(path.read_text())["cells"]
        text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            assert (path.parent / link).exists(), f"{path.name} links to {link}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_open_and_install_from_the_one_repository(path):
    address = PROJECT["project"]["urls"]["Repository"]
    repository = address.removeprefix("https://github.com/")
    first, install = json.loads(path.read_text())["cells"][:2]
    assert first["source"][0].startswith("# ") and install["id"] == "install"
    place = path.relative_to(ROOT)
    assert re.findall(r"\[!\[[\w ]+\]\(.*?\)\]\((.*)\)", "".join(first["source"])) == [
        f"https://colab.research.google.com/github/{repository}/blob/main/{place}",
        f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/{place}",
    ]
    code = "".join(install["source"])
    assert code == "".join(json.loads(NOTEBOOKS[0].read_text())["cells"][1]["source"])
    for requirement in re.findall(r'%pip install -q "(?:\./)?(.*?)"', code):
        needed = Requirement(requirement)
        assert needed.name == "sedyn" and needed.extras <= set(PROJECT["project"]["optional-dependencies"])
    assert re.findall(r"https?://\S+", code) == [address]


def test_the_install_cell_finds_the_course_or_fetches_it(tmp_path, monkeypatch):
    code = "".join(json.loads(NOTEBOOKS[0].read_text())["cells"][1]["source"])
    for folder, fetches in ((ROOT / "notebooks", False), (ROOT / "notebooks/topics", False), (tmp_path, True)):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "path", ["first"])
        shell, calls = InteractiveShell(), []
        shell.run_line_magic = lambda *args, calls=calls, **options: calls.append(args)
        shell.system = lambda command, calls=calls: calls.append(command)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert shell.run_cell(code).success and printed.getvalue() == ""
        home = tmp_path / "sedyn/notebooks" if fetches else ROOT / "notebooks"
        assert sys.path == [str(home), "first"]
        address = PROJECT["project"]["urls"]["Repository"]
        wanted = [f"git clone -q --depth 1 {address}", ("pip", 'install -q "./sedyn[fast,progress,data]"')]
        assert calls == (wanted if fetches else [])


def test_every_claim_is_in_the_gallery_which_the_course_leads_to():
    assert any("figures/README.md" in path.read_text() for path in NOTEBOOKS)
    gallery = (ROOT / "figures/README.md").read_text()
    for name in claims.CLAIMS:
        assert f"({name}.png)" in gallery and (ROOT / f"figures/{name}.png").exists(), name


@pytest.mark.seconds
def test_examples_of_the_front_page_and_the_guide_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, names = README + (ROOT / "docs/guide.md").read_text(), {}
    examples = re.findall(r"```python\n(.*?)```", text, re.S)
    for example in examples:  # each goes on from the one before
        exec(compile(example, "README.md", "exec"), names)
        if "householder_dice" in example:
            assert abs(names["run"].generalization_error[-1] / names["theory"].generalization_error[-1] - 1) < 0.02
    run, theory, blind = (names[name] for name in ("run", "theory", "blind"))
    assert abs(run.train_error[-1] / theory.train_error[-1] - 1) < 0.2
    error, stderr = blind.estimated_metrics[-1, 0], blind.estimated_metrics_stderr[-1, 0]
    assert abs(error - theory.generalization_metrics[-1, 0]) < 4 * stderr  # zero-one error
    simulated, predicted, estimated = map(float, capsys.readouterr().out.split())
    # one run on m = 1500 rows, scored on 5000: relative standard deviations of some percent each (theory 4)
    assert abs(simulated / predicted - 1) < 0.2 and abs(estimated / predicted - 1) < 0.2
    assert (tmp_path / "curves.png").exists()
