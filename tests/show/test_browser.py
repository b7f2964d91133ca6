"""The notebook that plays with the theory, in a real browser: headless Chromium in front of a JupyterLab server."""

import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SETTINGS = {  # of JupyterLab: no question about news, all cells in the page at once
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}

pytestmark = pytest.mark.minutes  # the server, the browser and a notebook: a minute


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab server on a folder that holds the notebook, without its outputs."""
    home = tmp_path_factory.mktemp("lab")
    notebook = json.loads((ROOT / "notebooks/topics/explore.ipynb").read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    (home / "work").mkdir()
    for part in ("claims", "course"):  # beside the notebook, as in the course
        shutil.copytree(ROOT / "notebooks" / part, home / "work" / part)
    (home / "work/explore.ipynb").write_text(json.dumps(notebook))
    for name, settings in SETTINGS.items():
        path = home / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    folders |= {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    env |= {name: str(home / folder) for name, folder in folders.items()}
    env |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")])),
    }
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    options += ["--no-browser", "--allow-root", f"--ServerApp.root_dir={home / 'work'}"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=env, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/api?token={token}")
                break
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.2)
        yield f"{address}/doc/tree/explore.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def page(browser, lab):
    """The notebook after "Run All Cells", as a reader sees it."""
    page = browser.new_page(viewport={"width": 1150, "height": 1000}, device_scale_factor=1.5)
    page.set_default_timeout(60_000)
    page.goto(lab)
    page.get_by_text("| Idle").wait_for()
    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
    page.locator(".jp-CodeCell").last.get_by_text("two layers start").last.wait_for()
    return page


@pytest.fixture
def play(page):
    """The output of the first explorer, with all its controls."""
    return page.locator(".jp-CodeCell:has(.sedyn-live)").first.locator(".jp-OutputArea")


def picture(play):
    """What the browser shows, as numbers, without the line of text and the controls."""
    return np.asarray(Image.open(io.BytesIO(play.locator(".sedyn-live img").screenshot())).convert("RGB"), int)


def change(play, act):
    """Do something and wait until the figure follows; pixels before and after."""
    image = play.locator(".sedyn-live img")
    source, before = image.get_attribute("src"), picture(play)
    act()
    play.page.wait_for_function("([old]) => document.querySelector('.sedyn-live img').src !== old", arg=[source])
    return before, picture(play)


def slider(play, label):
    return play.locator(".widget-slider", has_text=label).get_by_role("slider")


def number_of_errors(page):
    return page.locator("[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type$='jupyter.error']").count()


def test_all_cells_run_and_show_the_controls_in_place_of_the_static_figure(page):
    assert number_of_errors(page) == 0
    assert page.locator(".sedyn-live img").count() == 3
    static = page.locator(".jp-OutputArea:has(.sedyn-live) .jp-RenderedImage img")
    assert static.count() == 3 and not any(image.is_visible() for image in static.all())
    assert all(image.is_visible() for image in page.locator(".sedyn-live img").all())


def test_moving_a_slider_changes_the_curves_and_solves_the_experiment(page, play):
    line = play.locator(".sedyn-live [role=status]")
    assert not line.inner_text().startswith("Best stopping time t = 12:")
    before, after = change(play, lambda: slider(play, "step size").press("ArrowRight"))
    assert line.inner_text().startswith("Best stopping time t = 12:")
    assert play.locator(".widget-slider", has_text="step size").locator(".widget-readout").inner_text() == "0.5"
    left = slice(0, before.shape[1] * 2 // 5)  # the errors
    blue = (before[:, left] == [0x00, 0x72, 0xB2]).all(axis=2)
    assert blue.sum() > 300 and (after[:, left] != before[:, left]).any(axis=2)[blue].mean() > 0.3  # the curve moved

    check = page.locator(".jp-CodeCell", has_text='course.check("explore.1", answer)')
    assert "not answered" in check.locator(".jp-OutputArea").inner_text()
    check.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text('course.check("explore.1", one)')
    page.keyboard.press("Control+Enter")
    page.get_by_text("exercise explore.1: right: stopping at step 12").last.wait_for()


def test_a_slider_follows_the_mouse_and_a_menu_the_choice(play):
    handle = slider(play, "label noise")
    box = handle.bounding_box()

    def drag():
        handle.hover()
        play.page.mouse.down()
        play.page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2, steps=5)
        play.page.mouse.up()

    readout = play.locator(".widget-slider", has_text="label noise").locator(".widget-readout")
    noise = float(readout.inner_text())
    change(play, drag)
    assert float(readout.inner_text()) > noise
    change(play, lambda: play.get_by_label("activation").select_option("gelu"))
    assert number_of_errors(play.page) == 0


def test_training_draws_a_run_and_divergence_is_a_line_of_text(play):
    before, after = change(play, lambda: play.get_by_role("button", name="train it").click())
    assert (before != after).any(axis=2).mean() > 0.002
    alert = play.locator(".sedyn-live [role=alert]")
    assert alert.inner_text() == ""
    change(play, lambda: play.get_by_label("link", exact=True).select_option("cubic"))
    change(play, lambda: slider(play, "step size").press("End"))
    assert "diverged" in alert.inner_text()
    assert number_of_errors(play.page) == 0


def test_the_widget_lives_on_when_the_page_is_loaded_again(page, play):
    line = play.locator(".sedyn-live [role=status]")
    before = line.inner_text()
    page.keyboard.press("Control+s")
    page.get_by_text("Saving completed").wait_for()
    page.reload()
    play.locator(".sedyn-live img").wait_for()
    assert line.inner_text() == before
    change(play, lambda: slider(play, "step size").press("Home"))
    assert line.inner_text() != before
    assert play.locator(".jp-RenderedImage img").is_hidden()


LABELS = ("step size", "label noise")


def test_screenshot(page, play, tmp_path):
    """A picture for the README: written there by `make browser`."""

    def settle():  # until the figure has been the same for a while
        image, source = play.locator(".sedyn-live img"), None
        while source != (source := image.get_attribute("src")):
            page.wait_for_timeout(700)

    for label in ("link", "activation"):
        play.get_by_label(label, exact=True).select_option("tanh")
        settle()
    for label, steps in (("step size", 7), ("label noise", 5)):
        for key in ["Home"] + steps * ["ArrowRight"]:
            slider(play, label).press(key)
            settle()
    slider(play, "label noise").press("ArrowRight")
    settle()
    play.get_by_role("button", name="train it").click()
    settle()
    shown = [play.get_by_label(label, exact=True).input_value() for label in ("link", "activation")]
    readouts = [
        play.locator(".widget-slider", has_text=label).locator(".widget-readout").inner_text() for label in LABELS
    ]
    assert (shown, readouts) == (["tanh", "tanh"], ["0.3", "0.6"])
    play.scroll_into_view_if_needed()
    picture = Image.open(io.BytesIO(play.screenshot(animations="disabled"))).convert("RGB")
    path = Path(os.environ.get("SCREENSHOT", tmp_path / "explore.png"))
    picture.quantize(256).save(path, optimize=True)
    assert picture.width >= 1400 and path.stat().st_size < 300_000
