"""The page in headless Chromium, at phone and desktop width: nothing overflows, axes change, values follow a pointer.

The page is shown in a frame of the width, since a window has a least width; what is found there is read from the DOM.
"""

import html
import json
import re
import shutil
import subprocess

import made_up_field
import made_up_runs
import pytest

from deepnet_runs import figures

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: apt-get install chromium")

LOOK = """
const view = document.querySelector("iframe"), found = {};
view.addEventListener("load", () => {
  const page = view.contentDocument, $ = (selector) => page.querySelector(selector);
  const plots = (chart) => [...$(chart).querySelectorAll("svg.plot")];
  const shown = (chart) => plots(chart).filter((svg) => svg.getBoundingClientRect().width);
  const names = (chart) => shown(chart).map((svg) => svg.getAttribute("class"));
  found.wide = page.documentElement.scrollWidth;
  found.sticking = [...page.querySelectorAll("main *")].filter((one) => !one.closest(".scroll") &&
    one.getBoundingClientRect().right > view.clientWidth + 0.5).map((one) => one.outerHTML.slice(0, 200));
  found.fonts = Math.min(...shown("#chart-decomposition").map((svg) => 12 * svg.getBoundingClientRect().width / 360));
  found.before = names("#chart-decomposition");
  $("#epochs-log").click();
  $("#y-decomposition-linear").click();
  found.after = names("#chart-decomposition");
  const svg = shown("#chart-decomposition")[0], box = svg.getBoundingClientRect();
  const x = svg.dataset.x.split(" ").map(Number);
  const at = { clientX: box.left + (x[2] + 1) * box.width / 360, clientY: box.top + 50, bubbles: true };
  svg.dispatchEvent(new PointerEvent("pointermove", at));
  found.epoch = $("#epoch-shown").textContent;
  found.values = [...svg.closest("figure").querySelectorAll(".value")].map((value) => value.textContent);
  found.cursor = svg.querySelector(".cursor").getAttribute("x1");
  found.x = x[2];
  $("#epoch").value = 0;
  $("#epoch").dispatchEvent(new Event("input"));
  found.first = $("#chart-omega .value, #chart-decomposition .shown").textContent;
  document.querySelector("pre").textContent = JSON.stringify(found);
});
view.srcdoc = PAGE;
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two runs, one of which has a field test, and their page."""
    folder = tmp_path_factory.mktemp("browser")
    for loss in ("mse", "ce"):
        made_up_runs.write(folder / "a_folder_with_a_long_name_indeed" / loss, loss=loss)
    made_up_field.write(folder / "a_folder_with_a_long_name_indeed" / "mse", made_up_field.rows())
    assert figures.main([str(folder), "--html", str(folder / "page.html")]) == 0
    return folder / "page.html"


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_answers(made, tmp_path, width):
    page = json.dumps(made.read_text()).replace("</", "<\\/")
    look = LOOK.replace("PAGE", page)
    frame = f'<iframe style="width:{width}px;height:844px;border:0"></iframe><pre></pre><script>{look}</script>'
    (tmp_path / "frame.html").write_text(f"<!doctype html><meta charset=utf-8>{frame}")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(BROWSER), *options, "--window-size=1400,900", "--virtual-time-budget=10000", "--dump-dom"]
    done = subprocess.run([*command, f"file://{tmp_path / 'frame.html'}"], capture_output=True, text=True, timeout=120)
    found = json.loads(html.unescape(re.findall(r"<pre>(.*?)</pre>", done.stdout, re.S)[0]))
    assert found["wide"] <= width
    assert found["sticking"] == []
    assert found["fonts"] > 10.5
    assert {name.split()[1] + name.split()[2] for name in found["before"]} == {"x-lineary-log"}
    assert {name.split()[1] + name.split()[2] for name in found["after"]} == {"x-logy-linear"}
    assert len(found["before"]) == len(found["after"]) == 2
    row = made_up_runs.rows()[2]
    assert found["epoch"] == str(row["epoch"])
    keys = ("loss", "loss_nc1", "loss_nc23", "loss_ls_perp")
    assert [float(value) for value in found["values"]] == pytest.approx([row[key] for key in keys], rel=6e-4)
    assert float(found["cursor"]) == found["x"]
    assert found["first"] == "1"
