"""The app in a real headless Chromium: draw, paint, download.

With ALBU_GAN_SCREENSHOTS set to a folder, what the browser shows is saved there, for a person to look at. On a machine
that has much else to do, ALBU_GAN_PATIENCE sets how many seconds the tests wait for the page.
"""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from defective import SPOTS, defective

from albu_gan.pictures.demo import SAMPLES, read_image

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ROOT = Path(__file__).parent.parent
SAMPLE_FILES = sorted(SAMPLES.glob("*.jpg"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMEDRIVER = shutil.which("chromedriver")
PATIENCE = float(os.environ.get("ALBU_GAN_PATIENCE", "60"))  # seconds for an answer of the page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or CHROMEDRIVER is None,
        reason="chromium and chromedriver are not installed (apt-get install chromium chromium-driver)",
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("gradio") is None or importlib.util.find_spec("selenium") is None,
        reason="Gradio or selenium is not installed (pip install -e '.[app,test]')",
    ),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, bank_weights: str) -> Iterator[str]:
    """The app, started as a user starts it, on a free port."""
    folder = tmp_path_factory.mktemp("app")
    weights = ["--weights", "magnetic-tile-v1", "--weights", bank_weights]
    command = [sys.executable, "-m", "albu_gan.cli", "app", "--no-browser", "--port", "0", *weights]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "GRADIO_TEMP_DIR": str(folder / "g")}
    with (folder / "errors").open("w") as errors:
        app = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=folder)
    assert app.stdout is not None
    try:
        line = app.stdout.readline()
        match = re.fullmatch(r"albu-gan app: (http://127\.0\.0\.1:\d+/) .*\n", line)
        assert match, line + (folder / "errors").read_text()
        yield match[1]
        said = (folder / "errors").read_text()
        assert "Traceback" not in said, said
    finally:
        app.terminate()
        app.communicate(timeout=30)  # also closes the pipe


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser puts what it downloads."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A Chromium of its own, that asks the network for nothing."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    # Without the second, Chromium holds a downloaded .py back until a person confirms it.
    preferences = {"download.default_directory": str(downloads), "safebrowsing.enabled": True}
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    driver.set_page_load_timeout(PATIENCE)
    yield driver
    driver.quit()


class Page:
    """What a person does on the page."""

    def __init__(self, browser: Chrome, address: str, size_wh: tuple[int, int] = (1366, 900)) -> None:
        self.browser = browser
        browser.set_window_size(*size_wh)
        browser.get(address)
        self.wait(lambda: len(self.all("#samples button")) == len(SAMPLE_FILES) and self.all("#canvas .overlay"))

    def all(self, selector: str) -> list:  # type: ignore[type-arg]
        return self.browser.find_elements("css selector", selector)

    def one(self, selector: str):  # type: ignore[no-untyped-def]
        (found,) = self.all(selector)
        return found

    def focus_canvas(self) -> None:
        """Give the canvas the keyboard; selenium's own way would click, and so draw."""
        self.browser.execute_script("arguments[0].focus()", self.one("#canvas .overlay"))

    def wait(self, condition: Callable[[], object]) -> None:
        from selenium.common.exceptions import StaleElementReferenceException

        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except StaleElementReferenceException:
                pass
            time.sleep(0.05)
        self.look("timeout")
        pytest.fail(f"nothing came in {PATIENCE:g} s; status: {self.status()!r}")

    def look(self, name: str) -> None:
        folder = os.environ.get("ALBU_GAN_SCREENSHOTS")
        if folder:
            time.sleep(1.0)  # for fonts and fading messages
            self.browser.save_screenshot(str(Path(folder) / f"{name}.png"))

    def status(self) -> str:
        return str(self.one("#status").text)

    def code(self) -> str:
        """The Python that the page shows, lines joined."""
        return " ".join(line.text for line in self.all("#snippet .cm-line"))

    def click(self, selector: str, index: int = 0) -> None:
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", self.all(selector)[index])
        self.all(selector)[index].click()

    def pick_sample(self, index: int) -> None:
        self.click("#samples button", index)
        self.wait(lambda: self.all("#canvas .sheet.ready"))

    def stroke(self, *points: tuple[float, float]) -> None:
        """Draw with the mouse through points given as fractions of the image's width and height."""
        from selenium.webdriver import ActionChains

        overlay = self.one("#canvas .overlay")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", overlay)
        width, height = overlay.size["width"], overlay.size["height"]
        moves = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in points]
        actions = ActionChains(self.browser, duration=20)
        actions.move_to_element_with_offset(overlay, *moves[0]).click_and_hold()
        for move in moves[1:]:
            actions.move_to_element_with_offset(overlay, *move)
        actions.release().perform()

    def pixels(self, class_name: str) -> int:
        """How many pixels of a class the page says are painted."""
        found = re.search(rf"{class_name} ([\d,]+) px", self.status())
        return int(found[1].replace(",", "")) if found else 0


def download(page: Page, downloads: Path, name: str) -> Path:
    for file in downloads.iterdir():
        file.unlink()
    page.click(f"#download-{name}")
    page.wait(lambda: [f for f in downloads.iterdir() if f.suffix in (".png", ".py", ".zip") and f.stat().st_size])
    (file,) = downloads.iterdir()
    return file


def test_draw_paint_and_download(
    browser: Chrome, address: str, downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(browser, address)
    page.pick_sample(1)
    assert not page.one("#download-image").is_enabled()
    page.stroke((0.2, 0.3), (0.35, 0.45), (0.4, 0.6))
    page.wait(lambda: page.pixels("blowhole"))
    page.click("#classes input", 2)
    page.wait(lambda: "Latent of crack" in page.one("#latent-row").text)
    page.click("#sample")
    page.wait(lambda: page.pixels("crack"))
    page.click("#code button")
    page.wait(lambda: "'crack', seed=0" in page.code())
    page.click("#reroll")
    page.wait(lambda: page.one("#seed input").get_attribute("value") != "0")
    page.wait(lambda: f"'crack', seed={page.one('#seed input').get_attribute('value')}" in page.code())
    sampled = page.pixels("crack")
    page.click('#canvas [data-do="undo"]')
    page.wait(lambda: page.pixels("crack") == 0)
    page.click('#canvas [data-do="redo"]')
    page.wait(lambda: page.pixels("crack") == sampled)
    page.look("painted")
    scrolled = "return [...document.querySelectorAll('#samples, #samples *')].filter(part => part.scrollTop).length"
    assert browser.execute_script(scrolled) == 0  # the label above the samples is whole

    files = {}
    for name in ("image", "mask", "clean", "snippet"):
        path = download(page, downloads, name)
        files[name] = Path(shutil.move(path, tmp_path / path.name))
    image, mask, clean = (cv2.imread(str(files[name]), cv2.IMREAD_UNCHANGED) for name in ("image", "mask", "clean"))
    sample = read_image(SAMPLE_FILES[1])
    np.testing.assert_array_equal(clean[:, :, ::-1], sample)
    assert set(np.unique(mask)) == {0, 1, 3}
    assert np.count_nonzero(mask == 3) == page.pixels("crack")
    height, width = mask.shape
    for x, y in ((0.35, 0.45), (0.3, 0.4)):
        assert mask[round(y * height), round(x * width)] == 1
    changed = (image != clean).any(axis=2)
    assert not changed[mask == 0].any()
    assert all(changed[mask == value].mean() > 0.5 for value in (1, 3))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(files["snippet"]))
    (again,) = tmp_path.glob("*-again.png")
    np.testing.assert_array_equal(cv2.imread(str(again), cv2.IMREAD_UNCHANGED), image)

    # Nothing came from elsewhere, and the page's own code made no mistake.
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(name.startswith((address, "data:", "blob:")) for name in loaded), loaded
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_paint_like_a_real_defect_and_like_one_of_one_s_own(
    browser: Chrome, address: str, downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selenium.webdriver import Keys

    image, _ = defective((180, 240, 3))
    cv2.imwrite(str(tmp_path / "broken.png"), image[:, :, ::-1])
    top, left = SPOTS[2][:2]
    page = Page(browser, address)
    assert page.all("#exemplars .tiles button") == [] and "paint with a network" in page.one("#exemplars .note").text
    assert not page.all("#variation input") or not page.one("#variation").is_displayed()
    page.one("#upload input[type=file]").send_keys(str(tmp_path / "broken.png"))
    page.wait(lambda: page.all("#canvas .sheet.ready"))
    page.click("#use-as-exemplar")
    page.wait(lambda: any("Nothing of blowhole is drawn" in toast.text for toast in page.all(".toast-body")))
    across = [((left + x) / 240, (top + y) / 180) for x, y in ((2, 2), (10, 2), (10, 14), (2, 14), (2, 2))]
    page.stroke(*across)
    page.wait(lambda: page.pixels("blowhole"))
    page.click("#use-as-exemplar")
    page.wait(lambda: page.all('#exemplars [data-token="own:0"][aria-checked="true"]'))
    page.wait(lambda: "Seed of blowhole" in page.one("#latent-row").text and page.one("#variation").is_displayed())
    page.look("own-exemplar")

    page.pick_sample(1)
    page.wait(lambda: page.one("#canvas .overlay").get_attribute("width") == "384")
    page.stroke((0.2, 0.3), (0.35, 0.45))
    page.wait(lambda: page.pixels("blowhole"))
    page.click("#code button")
    page.wait(lambda: "own_1(image, mask == 1, 'blowhole', seed=0" in page.code())
    again = rerun(page, downloads, tmp_path / "own", monkeypatch)
    assert len(list((tmp_path / "own").glob("*-exemplar-1*.png"))) == 2 and again

    choose_weights(page, 1)
    page.wait(lambda: len(page.all('#exemplars [data-token^="bank"]')) > 1)
    page.wait(lambda: "Seed of pit" in page.one("#latent-row").text)
    page.click("#sample")
    page.wait(lambda: page.pixels("pit"))
    page.wait(lambda: "paint_sampled(painter" in page.code() and "variation=0.5" in page.code())
    before = page.one("#canvas .sheet").screenshot_as_png
    page.one("#variation input[type=range]").send_keys(Keys.END)
    page.wait(lambda: "variation=1.0" in page.code())
    page.wait(lambda: page.one("#canvas .sheet").screenshot_as_png != before)  # the mask varies with it
    chosen = page.all('#exemplars [data-token^="bank"]')[2].get_attribute("data-token")
    page.click(f'#exemplars [data-token="{chosen}"]')
    page.wait(lambda: page.all(f'#exemplars [data-token="{chosen}"][aria-checked="true"]'))
    page.stroke((0.6, 0.2), (0.7, 0.3))
    page.wait(lambda: f"exemplar={chosen.removeprefix('bank:')}" in page.code())
    page.look("exemplar")
    assert rerun(page, downloads, tmp_path / "bank", monkeypatch)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def choose_weights(page: Page, index: int) -> None:
    page.click("#weights input")
    page.wait(lambda: page.all("[role=option]"))
    page.all("[role=option]")[index].click()


def rerun(page: Page, downloads: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run the downloaded program beside the other downloaded files: whether it paints the downloaded image."""
    with zipfile.ZipFile(download(page, downloads, "archive")) as archive:
        archive.extractall(folder)
    monkeypatch.chdir(folder)
    (program,) = folder.glob("*.py")
    runpy.run_path(str(program))
    images = [cv2.imread(str(next(folder.glob(f"*-{name}.png")))) for name in ("painted", "again")]
    return np.array_equal(*images)


def test_keep_erase_undo_and_keys(browser: Chrome, address: str) -> None:
    from selenium.webdriver import ActionChains, Keys

    page = Page(browser, address)
    page.pick_sample(0)
    page.stroke((0.3, 0.3), (0.5, 0.3))
    page.wait(lambda: page.pixels("blowhole"))
    drawn = page.pixels("blowhole")
    page.click('#canvas [data-tool="erase"]')
    page.stroke((0.45, 0.3), (0.55, 0.3))
    page.wait(lambda: 0 < page.pixels("blowhole") < drawn)
    page.focus_canvas()
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    page.wait(lambda: page.pixels("blowhole") == drawn)
    page.click("#keep")
    page.wait(lambda: page.one('#canvas [data-do="clear"]').get_attribute("disabled"))
    page.click('#canvas [data-tool="draw"]')
    page.stroke((0.3, 0.3), (0.5, 0.3))  # over what is kept: nothing new
    page.focus_canvas()
    keys = ActionChains(browser).send_keys(Keys.ARROW_DOWN * 12).key_down(Keys.SHIFT)
    keys.send_keys(Keys.ARROW_LEFT * 6).key_up(Keys.SHIFT).perform()
    page.wait(lambda: page.pixels("blowhole") > drawn)
    page.wait(lambda: page.all("#download-steps"))
    page.click("#view input", 1)
    page.look("kept")
    page.click("#code button")
    page.wait(lambda: "-steps.png" in page.code())


def test_bad_files_are_explained_and_the_page_goes_on(browser: Chrome, address: str, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    cv2.imwrite(str(tmp_path / "huge.png"), np.zeros((4100, 4200), np.uint8))
    cv2.imwrite(str(tmp_path / "good.png"), np.full((200, 300), 128, np.uint8))
    page = Page(browser, address)
    page.click("#sample")
    page.wait(lambda: any("Load an image or pick a sample first" in toast.text for toast in page.all(".toast-body")))
    for name, said in (("broken", "broken.png is not an image"), ("huge", "this app takes 16")):
        for clear in page.all('#upload button[aria-label="Clear"], #upload button[aria-label="Remove this file"]')[:1]:
            clear.click()
        page.wait(lambda: page.all("#upload input[type=file]"))
        page.one("#upload input[type=file]").send_keys(str(tmp_path / f"{name}.png"))
        page.wait(lambda said=said: any(said in toast.text for toast in page.all(".toast-body")))
        page.look(f"error-{name}")
    for clear in page.all('#upload button[aria-label="Clear"], #upload button[aria-label="Remove this file"]')[:1]:
        clear.click()
    page.wait(lambda: page.all("#upload input[type=file]"))
    page.one("#upload input[type=file]").send_keys(str(tmp_path / "good.png"))
    page.wait(lambda: page.all("#canvas .sheet.ready"))
    page.stroke((0.3, 0.3), (0.5, 0.5))
    page.wait(lambda: page.pixels("blowhole"))


def test_a_narrow_window_shows_all_and_can_be_drawn_on(browser: Chrome, address: str) -> None:
    page = Page(browser, address, (500, 900))
    page.pick_sample(2)
    page.stroke((0.3, 0.5), (0.6, 0.6))
    page.wait(lambda: page.pixels("blowhole"))
    page.look("narrow")
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
