"""
The examples for Nengo GUI, in a real browser; and the view that they show.

For the browser see ``tests/browsers.py``. With ``NPD_SCREENSHOTS=docs/_static`` it
saves pictures of what it sees there.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nengo
import numpy as np
import pytest
import scipy.stats
from browsers import SECONDS, new_browser
from nengo.exceptions import ValidationError

from nengo_permadrop.live.gui import DistributionView

EXAMPLES = Path(__file__).parents[2] / "examples"
# What the view shows, and where the labels of the network are
READ = """
const one = (selector) => document.querySelector(selector);
const path = (name) => one(`.npd-${name}`)?.getAttribute("d");
const labels = {};
for (const text of document.querySelectorAll("svg text"))
    labels[text.textContent] = text.getBoundingClientRect().left;
return {
    text: one(".npd-test")?.textContent ?? "",
    spiking: path("spiking"), classical: path("classical"), labels: labels,
};
"""


def view_of(values, reference, **options):
    """The network of a view of some values, one per window of 10 ms."""
    with nengo.Network(seed=0) as net:
        present = nengo.processes.PresentInput(np.reshape(values, (-1, 1)), 0.01)
        target = nengo.Node(present)
        net.shown = DistributionView(target, reference, window=0.01, **options)
    return net


def bars(picture, name):
    """The heights of a histogram's bars, in the picture's units."""
    outline = re.search(rf'class="npd-{name}" d="M42 170([^"]*)V170Z"', picture)[1]
    return 170 - np.array([float(y) for y in re.findall("V([0-9.]+)h", outline)])


def test_picture_is_the_histogram_and_the_test():
    values = np.random.RandomState(0).randn(20)
    reference = np.random.RandomState(1).randn(50)
    net = view_of(values, reference, title="a < b", n_bins=8)
    picture = net.shown.view.output
    assert "no draw yet" in picture._nengo_html_ and "a &lt; b" in picture._nengo_html_
    for _ in range(2):  # another simulator starts anew
        with nengo.Simulator(net, progress_bar=False) as sim:
            sim.run(0.2)
        test = scipy.stats.ks_2samp(values, reference, method="exact")
        text = f"KS statistic {test.statistic:.3f}, p = {test.pvalue:.3f} (20 draws)"
        assert text in picture._nengo_html_
        shares = []
        low, high = reference.mean() + np.array([-4, 4]) * reference.std()
        for sample in (values, reference):
            counts, _ = np.histogram(np.clip(sample, low, high), 8, (low, high))
            shares.append(counts / len(sample))
        drawn = [bars(picture._nengo_html_, n) for n in ("spiking", "classical")]
        assert np.allclose(drawn, 126 * np.array(shares) / np.max(shares), atol=0.06)


def test_picture_of_one_output_and_observation():
    """The second output, and the reference of the observation that is shown."""
    with nengo.Network() as net:
        shown = nengo.Node(lambda t: 0.0 if t < 0.0305 else 1.0)
        target = nengo.Node([5.0, 0.0])
        asked = []

        def reference(observation):
            asked.append(observation.item())
            return np.array([[5.0, observation.item()]] * 3)

        view = DistributionView(
            target, reference, window=0.01, observation=shown, output=1
        )
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.03)
        assert (
            "KS statistic 0.000, p = 1.000 (3 draws)" in view.view.output._nengo_html_
        )
        sim.run(0.005)
        assert "no draw yet" in view.view.output._nengo_html_
        sim.run(0.015)
        assert "KS statistic 1.000" in view.view.output._nengo_html_
        assert "(2 draws)" in view.view.output._nengo_html_
    assert asked == [0.0, 1.0]  # costly ones are asked no more often than needed


@pytest.mark.parametrize(
    "options, attr", [({"output": 1}, "output"), ({"n_bins": 0}, "n_bins")]
)
def test_view_refuses(options, attr):
    with pytest.raises(ValidationError, match=attr):
        view_of([1.0], [0.0], **options)


@pytest.fixture(name="browser", scope="module")
def _browser(tmp_path_factory):
    with new_browser(tmp_path_factory.mktemp("profile"), "nengo_gui") as browser:
        yield browser


@contextlib.contextmanager
def served(example, backend, folder, laid_out=True):
    """``nengo example`` on this machine only; gives its address and its log."""
    files = f"{example}*" if laid_out else example
    for path in EXAMPLES.glob(files):  # the GUI writes to the .cfg
        shutil.copy(path, folder)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    command = [Path(sys.executable).with_name("nengo"), "--no-browser"]
    command += ["-P", str(port), "-b", backend, example]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        yield waited(lambda: re.search(r"http://localhost:\S+", log.read_text()))[
            0
        ], log
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def waited(condition):
    """What a function gives, when it is true."""
    end = time.monotonic() + SECONDS
    while not (result := condition()):
        assert time.monotonic() < end, f"not so after {SECONDS} s: {condition}"
        time.sleep(0.1)
    return result


def seen(browser):
    """What the view shows; with the number of draws."""
    found = browser.execute_script(READ)
    draws = re.search(r"\((\d+) draw", found["text"])
    return {**found, "draws": int(draws[1]) if draws else 0}


def when_seen(browser, condition):
    def look():
        found = seen(browser)
        return found if condition(found) else None

    return waited(look)


OVERLAPS = """
const boxes = [...document.querySelectorAll(arguments[0])]
    .filter(text => text.textContent.trim())
    .map(text => [text.textContent, text.getBoundingClientRect()]);
const found = [];
for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
    const [a, b] = [boxes[i][1], boxes[j][1]];
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
        found.push([boxes[i][0], boxes[j][0]]);
}
const outside = boxes.filter(([text, b]) =>
    b.left < -1 || b.right > innerWidth + 1 ||
    b.top < -1 || b.bottom > innerHeight + 1);
return {overlaps: found, outside: outside.map(b => b[0]), n: boxes.length};
"""


def check_labels(browser, name):
    """No text of the picture lies on another one, or outside of the window."""
    for width in (1000, 1400):
        browser.set_window_size(width, 800)
        time.sleep(0.5)  # the GUI lays its page out anew
        if folder := os.environ.get("NPD_SHOTS"):
            browser.save_screenshot(str(Path(folder) / f"{name}_{width}.png"))
        for texts in (".npd-distribution text", ".netgraph text, svg#main text"):
            found = browser.execute_script(OVERLAPS, texts)
            assert found["overlaps"] == [] and found["outside"] == [], (width, texts)
        assert browser.execute_script(OVERLAPS, ".npd-distribution text")["n"] >= 8
    browser.set_window_size(1300, 800)


@pytest.mark.parametrize("laid_out", [False, True])
def test_view_shows_itself_and_labels_are_apart(browser, tmp_path, laid_out):
    """With the example's .cfg, and without one."""
    with served("gui_small.py", "nengo_permadrop", tmp_path, laid_out) as (address, _):
        browser.get(address)
        waited(lambda: browser.find_elements("class name", "htmlview"))
        browser.execute_script("Nengo.ace.hide_editor()")
        browser.find_element("id", "pause_button").click()
        when_seen(browser, lambda found: found["draws"] >= 3)
        assert len(browser.find_elements("class name", "htmlview")) == 1
        check_labels(browser, f"small_{laid_out}")


@pytest.mark.parametrize(
    "example, backend",
    [
        ("gui_combo.py", "nengo"),
        ("gui_combo.py", "nengo_permadrop"),
        ("gui_small.py", "nengo_permadrop"),
    ],
)
def test_example_in_a_browser(browser, tmp_path, example, backend):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    browser.get_log("browser")  # forget that of the last page
    with served(example, backend, tmp_path) as (address, log):
        browser.get(address)
        waited(lambda: browser.find_elements(By.CLASS_NAME, "htmlview"))
        browser.execute_script("Nengo.ace.hide_editor()")  # room for the network

        browser.find_element(By.ID, "pause_button").click()
        first = when_seen(browser, lambda found: found["draws"] >= 3)
        later = when_seen(browser, lambda found: found["draws"] >= first["draws"] + 5)
        assert later["text"] != first["text"]
        assert later["spiking"] != first["spiking"]
        assert later["classical"] is not None

        check_labels(browser, f"{example}_{backend}")

        if folder := os.environ.get("NPD_SCREENSHOTS"):
            when_seen(browser, lambda found: found["draws"] >= 100)
            picture = Path(folder) / f"{Path(example).stem}_{backend}.png"
            browser.save_screenshot(str(picture))

        handle = browser.find_element(
            By.CSS_SELECTOR, "[data-object-type=slider_handle]"
        )
        ActionChains(browser).drag_and_drop_by_offset(handle, 0, 12).perform()
        anew = when_seen(browser, lambda found: 1 <= found["draws"] < later["draws"])
        assert anew["classical"] != later["classical"]

        if example == "gui_combo.py":  # laid out from left to right, and spikes
            assert browser.find_elements(By.CSS_SELECTOR, ".graph image")
            layers = ["cell_hidden1", "cell_hidden2", "cell_hidden3"]
            layers += ["hidden1", "hidden2", "hidden3", "output"]
            assert np.all(np.diff([later["labels"][name] for name in layers]) > 0)
        errors = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
        assert errors == []
        resources = browser.execute_script(
            "return performance.getEntriesByType('resource').map(r => r.name)"
        )
        host = address.partition("?")[0]
        assert resources and all(name.startswith(host) for name in resources)
        assert "Traceback" not in log.read_text()
