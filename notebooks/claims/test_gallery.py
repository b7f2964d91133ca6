"""The gallery: figures, tables, numbers of several seeds, p-values, and a page that is written from them alone."""

import csv
import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import claims
from claims import gallery

ROOT = Path(__file__).parents[2]


def small(paper=False, rng=0):
    figure = gallery.plt.figure()
    return claims.Claim(
        "Small",
        "It holds.",
        f"paper {paper}",
        3,
        {"x": 1.2345 + rng, "x, s.e.": 0.1, "y": 2.0},
        figure,
        alt="Nothing is seen.",
        p_values={"x": 0.2 + 0.1 * rng},
        data={"one": {"n": [1, 2], "v": np.array([1 / 3, 2.0])}, "two": {"v": [0.5], "w": ["a"]}},
    )


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(gallery, "CLAIMS", {"first": small, "second": small})


@pytest.mark.seconds
def test_write_makes_figures_and_keeps_the_rest_of_the_page(tmp_path, two, capsys):
    with ThreadPoolExecutor(1) as executor:
        page = gallery.write(tmp_path, paper=False, executor=executor)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md", "claims.json", "first.csv", "first.png", "first.svg", "second.csv", "second.png", "second.svg",
        "p_values.png", "p_values.svg",
    }  # fmt: skip
    before = page.read_text()
    assert "| x | 1.23 ± 0.1 | 2.23 ± 0.1 | 3.23 ± 0.1 |" in before and "seeds 0, 1, 2" in before
    assert "3 runs of each seed" in before and "![Nothing is seen.](first.png)" in before
    assert "6 p-values of 2 claims" in before and "(first.csv)" in before
    gallery.write(tmp_path, ["second"], paper=True)
    after = page.read_text()
    assert after == before.replace("`claims.second`: paper False", "`claims.second`: paper True")
    assert "[1/1] second" in capsys.readouterr().out
    with pytest.raises(ValueError, match="unknown claims \\['third'\\]"):
        gallery.write(tmp_path, ["third"])


def test_a_claim_that_takes_long_is_made_of_one_seed(tmp_path, two, monkeypatch):
    monkeypatch.setattr(gallery, "SHORT", -1)
    assert "seed 0;" in gallery.write(tmp_path, ["first"]).read_text()
    assert gallery.load(tmp_path)["first"]["seeds"] == [0]


def test_tables_are_tidy_and_short(tmp_path, two):
    gallery.write(tmp_path, ["first"])
    with (tmp_path / "first.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["table"] for row in rows] == ["one", "one", "two"]
    assert rows[0] == {"table": "one", "n": "1", "v": "0.333333", "w": ""} and rows[2]["w"] == "a"


def test_figures_and_p_values_are_the_same_each_time(tmp_path, two):
    gallery.write(tmp_path, ["first"])
    files = [tmp_path / name for name in ("p_values.png", "p_values.svg")]
    before = [path.read_bytes() for path in files]
    gallery.write_page(tmp_path)
    assert before == [path.read_bytes() for path in files]
    assert b"<dc:date>" not in before[1]


def test_the_figure_of_p_values_shows_them_all():
    p = [0.5, 0.1, 0.9]
    (ax,) = gallery.p_value_figure(p).axes
    (line,) = [line for line in ax.lines if line.get_label() == "all p-values"]
    assert line.get_xdata().tolist() == [0, 0.1, 0.5, 0.9, 1]
    np.testing.assert_allclose(line.get_ydata(), [0, 1 / 3, 2 / 3, 1, 1])


def test_claims_of_the_paper_stand_first_and_every_claim_has_a_test():
    assert list(claims.CLAIMS)[: len(gallery.PAPER)] == list(gallery.PAPER)
    folder = Path(claims.__file__).parent
    for name in claims.CLAIMS:
        assert gallery.code_lines(name)[0] == f"{name}.py" and (folder / f"test_{name}.py").exists()


def test_the_gallery_is_up_to_date(tmp_path):
    """The page is what its records say; each figure says what is seen."""
    figures = ROOT / "figures"
    records = json.loads((figures / "claims.json").read_text())
    assert set(records) == set(claims.CLAIMS)
    assert all(len(record["alt"]) > 60 and record["bars"] for record in records.values())
    for path in (figures / "claims.json", *figures.glob("*.csv")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert gallery.write_page(tmp_path).read_text() == (figures / "README.md").read_text(), (
        "run: .venv/bin/python notebooks/claims figures --page"
    )


@pytest.mark.minutes
def test_figures_are_made_in_processes_of_their_own(tmp_path):
    """Spawned, as `write` does it: they find the package, and the claims in it, by themselves."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        page = gallery.write(tmp_path, ["deep_concentration"], paper=False, executor=executor)
    assert (tmp_path / "deep_concentration.png").stat().st_size > 5000
    assert "`claims.deep_concentration`" in page.read_text()


@pytest.mark.seconds
@pytest.mark.parametrize("command, folder", [(["-m", "claims"], "notebooks"), (["notebooks/claims"], ".")])
def test_the_command_rewrites_the_page(tmp_path, command, folder):
    (tmp_path / "claims.json").write_text((ROOT / "figures/claims.json").read_text())
    subprocess.run([sys.executable, *command, str(tmp_path), "--page"], check=True, cwd=ROOT / folder)
    assert (tmp_path / "README.md").read_text().startswith("# Figures")


@pytest.mark.seconds
def test_claims_and_matplotlib_are_imported_only_when_asked_for():
    code = "import sys, sedyn; print('matplotlib' in sys.modules, 'claims' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
