"""`make lite`: the course as a website whose Python runs in the browser. It is built, and notebook 00 runs there."""

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import sedyn
from tests.course import NOTEBOOKS, ROOT

SITE = ROOT / "build/lite"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update"


def test_the_copy_holds_the_course_and_none_of_the_answers(tmp_path):
    spec = spec_from_file_location("lite_contents", ROOT / "docs/lite_contents.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/old.ipynb").touch()
    module.copy_course(tmp_path / "copy")
    copied = {
        path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*") if path.is_file()
    }
    notebooks = {path.relative_to(ROOT / "notebooks").as_posix() for path in NOTEBOOKS}
    modules = {f"course/{path.name}" for path in (ROOT / "notebooks/course").glob("*.py")}
    assert notebooks | modules <= copied and any(name.startswith("claims") for name in copied)
    assignments = {name for name in copied if name.startswith("assignments/")}
    students = {f"assignments/student/{path.name}" for path in (ROOT / "notebooks/assignments/student").glob("*.ipynb")}
    assert len(students) == 4 and assignments == students
    for name in students:
        text = (tmp_path / "copy" / name).read_text()
        assert "BEGIN SOLUTION" not in text and "BEGIN HIDDEN TESTS" not in text, name


@pytest.fixture(scope="module")
def site():
    """The site, by the recipe of the Makefile and the packages of this Python."""
    pytest.importorskip("jupyterlite_pyodide_kernel", reason='JupyterLite is missing: pip install "sedyn[lite]"')
    if not shutil.which("make"):
        pytest.skip("make is missing")
    make = ["make", "-o", ".venv/all.stamp", "lite", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return SITE


@pytest.mark.minutes
def test_the_site_holds_the_course_and_the_package_as_it_is(site):
    files = {path.relative_to(site / "files").as_posix() for path in (site / "files").rglob("*") if path.is_file()}
    assert {path.relative_to(ROOT / "notebooks").as_posix() for path in NOTEBOOKS} <= files
    assert "course/__init__.py" in files and not any("source" in name or "GUIDE" in name for name in files)
    (release,) = json.loads((site / "pypi/all.json").read_text())["sedyn"]["releases"][sedyn.__version__]
    wheel = site / "pypi" / release["url"]
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == release["digests"]["sha256"]
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("sedyn/"): name for name in archive.namelist() if name.startswith("sedyn/")}
        sources = {path.name: path.read_bytes() for path in (ROOT / "sedyn").iterdir() if path.is_file()}
        assert {name: archive.read(full) for name, full in names.items()} == sources
    settings = json.loads((site / "jupyter-lite.json").read_text())["jupyter-config-data"]["litePluginSettings"]
    assert any(
        "pypi/all.json" in url for url in settings["@jupyterlite/pyodide-kernel-extension:kernel"]["pipliteUrls"]
    )


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def log_message(self, *args):
        pass


@pytest.fixture
def page(site, tmp_path):
    """A page of a fresh Chromium, and the address of the site with its application within reach of scripts."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    if not CHROMIUM:
        pytest.skip("Chromium is missing: install it, on Debian with apt install chromium")
    if not os.environ.get("JUPYTERLITE_PYODIDE_URL"):
        from jupyterlite_pyodide_kernel.constants import PYODIDE_VERSION

        lock = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE_VERSION}/full/pyodide-lock.json"
        try:
            urllib.request.urlopen(lock, timeout=10).close()
        except OSError as error:
            pytest.skip(f"Pyodide is out of reach ({lock}: {error}), and JUPYTERLITE_PYODIDE_URL names no local one")
    config = site / "jupyter-lite.json"
    settings = json.loads(config.read_text())
    settings["jupyter-config-data"]["exposeAppInBrowser"] = True
    config.write_text(json.dumps(settings))
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, playwright.sync_playwright() as browsers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = browsers.chromium.launch_persistent_context(
            tmp_path, executable_path=CHROMIUM, headless=True, args=OPTIONS.split()
        )
        page = browser.new_page()
        page.set_default_timeout(600_000)
        yield page, f"http://127.0.0.1:{server.server_port}"
        browser.close()
        server.shutdown()


@pytest.mark.minutes
def test_start_here_runs_in_the_browser_to_its_end(page):
    page, address = page
    page.goto(f"{address}/lab/index.html?path=00_start_here.ipynb")
    notebook = "window.jupyterapp.shell.currentWidget"
    cells = f"{notebook}.content.model.toJSON().cells"
    page.wait_for_function(f"() => {{ try {{ return {cells}.length > 3 }} catch {{ return false }} }}")
    page.wait_for_function(f"{notebook}.sessionContext.session?.kernel?.status === 'idle'")  # before: nothing is run
    before = json.loads((ROOT / "notebooks/00_start_here.ipynb").read_text())["cells"]
    page.evaluate("window.jupyterapp.commands.execute('editmenu:clear-all')")
    page.wait_for_function(f"{cells}.every(cell => !(cell.outputs || []).length)")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells').then(done => { window.done = done })")
    page.wait_for_function("window.done !== undefined", polling=1000)
    after = [cell for cell in page.evaluate(cells) if cell["cell_type"] == "code"]
    page.screenshot(path=SITE.parent / "lite_00.png")
    errors = [output for cell in after for output in cell["outputs"] if output["output_type"] == "error"]
    assert not errors, errors
    assert [cell["execution_count"] for cell in after] == list(range(1, len(after) + 1))
    held = [cell["id"] for cell in before if "# NBVAL_CHECK_OUTPUT" in "".join(cell["source"])]
    for old, new in zip([cell for cell in before if cell["cell_type"] == "code"], after, strict=True):
        kinds = [[output["output_type"] for output in cell["outputs"]] for cell in (old, new)]
        assert kinds[1].count("display_data") == kinds[0].count("display_data")  # as many pictures
        if new["id"] in held:  # the printed text that must hold anywhere
            assert text(new) == text(old)
    assert held


def text(cell):
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])
