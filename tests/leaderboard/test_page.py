"""The page in a browser: sorting, filtering, published rows, keyboard, phone width, dark mode."""

import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from predcnn.leaderboard import gallery
from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.page import page
from tests.leaderboard.made_records import a_board

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def clip(level: int, frames: int = 4) -> np.ndarray:
    pixels = np.zeros((frames, 1, 16, 16), np.uint8)
    for t in range(frames):
        pixels[t, 0, 4:10, t : t + 6] = level
    return pixels


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    made = boards(a_board())
    names = ("truth", "simvp_vit", "simvp_moganet", "convlstm")
    gifs = {
        n: gallery.gif_bytes(gallery.clip(clip(255), clip(90 + 40 * i)))
        for i, n in enumerate(names)
    }
    path = tmp_path_factory.mktemp("page") / "leaderboard.html"
    path.write_text(page(made, {made[0].key: gifs}, "Made for a test."), encoding="utf-8")
    return path


class Outline(HTMLParser):
    """Ids, links and what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a" and values["href"].startswith("#"):
            self.anchors.add(values["href"][1:])
        sources = [values.get(key) for key in ("src", "srcset", "poster", "data")]
        if tag == "link":
            sources.append(values.get("href"))
        self.loaded += [source for source in sources if source]


def test_the_page_is_whole_and_needs_nothing_else(written):
    text = written.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.anchors - {""} <= set(outline.ids)
    assert all(source.startswith("data:") for source in outline.loaded)
    assert "@import" not in text
    assert "url(" not in text
    assert "a &lt; b &amp; c" in text  # configs are escaped
    data = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data.replace("<\\/", "</"))[0]["metrics"][0]["key"] == "mse"


def test_a_gallery_is_one_gif_of_all(tmp_path):
    from PIL import Image

    clips = {f"model {i}": gallery.clip(clip(255), clip(30 * i)) for i in range(4)}
    gallery.write_gallery(tmp_path / "all.gif", clips, columns=3)
    with Image.open(tmp_path / "all.gif") as picture:
        assert picture.n_frames == 8
        assert picture.width > picture.height > 2 * 128
    with pytest.raises(ValueError, match="at least one clip"):
        gallery.write_gallery(tmp_path / "none.gif", {})


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no browser: the Debian packages chromium and chromium-driver are missing")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the test extra")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture
def tab(browser, written):
    """The fresh page at the width of a desk."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    resize(browser, 1280)
    browser.get("about:blank")
    browser.get(written.as_uri())
    return browser


def resize(tab, width: int, height: int = 900) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def picture(tab, name: str) -> None:
    """Keep a screenshot where PREDCNN_SCREENSHOTS says."""
    folder = os.environ.get("PREDCNN_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tab.save_screenshot(str(Path(folder) / f"{name}.png"))


def names(tab, selector: str = "tbody:not(.published) tr") -> list[str]:
    """Names of the rows that are seen, from top to bottom."""
    script = (
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter(tr => tr.dataset.name && tr.checkVisibility()).map(tr => tr.dataset.name)"
    )
    return tab.execute_script(script, selector)


def press(tab, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(tab).send_keys(*keys).perform()


def head(tab, text: str):
    return tab.find_element("xpath", f"//th/button[starts-with(., '{text}')]")


@pytest.mark.slow
def test_columns_sort_both_ways_with_missing_values_last(tab):
    assert names(tab)[:2] == ["simvp_moganet", "convlstm"]
    head(tab, "SSIM ").click()
    cell = head(tab, "SSIM ").find_element("xpath", "..")
    assert cell.get_attribute("aria-sort") == "descending"
    assert names(tab)[:2] == ["simvp_moganet", "convlstm"]
    head(tab, "SSIM ").click()
    assert cell.get_attribute("aria-sort") == "ascending"
    assert names(tab)[:2] == ["copy the last frame", "all black"]
    head(tab, "seq/s (batch 1)").click()
    assert cell.get_attribute("aria-sort") is None
    assert names(tab)[:2] == ["mean_frame", "simvp_convmixer"]
    assert set(names(tab)[-3:]) == {"copy the last frame", "all black", "mim"}
    head(tab, "model").click()
    assert names(tab) == sorted(names(tab))


@pytest.mark.slow
def test_words_and_boxes_filter_table_plots_and_gallery(tab):
    search = tab.find_element("css selector", "input[type=search]")
    search.send_keys("simvp")
    assert names(tab) == ["simvp_moganet", "simvp_vit", "simvp_convmixer"]
    assert tab.find_element("tag name", "output").text.startswith("3 of ")
    assert len(tab.find_elements("css selector", ".scatter figure")) == 6
    points = tab.find_elements("css selector", ".scatter figure:first-child a")
    assert len(points) == 3
    shown = (
        "return [...document.querySelectorAll('.gallery figure')].filter(f => f.checkVisibility())"
    )
    films = tab.execute_script(f"{shown}.map(f => f.dataset.name)")
    assert films == ["truth", "simvp_vit", "simvp_moganet"]
    search.clear()
    search.send_keys("x")
    search.clear()
    search.send_keys(" ")
    tab.find_element("css selector", "input[value=translator]").click()
    assert not [name for name in names(tab) if name.startswith("simvp")]
    assert "convlstm" in names(tab)


@pytest.mark.slow
def test_published_rows_stand_apart_and_are_off_at_first(tab):
    assert names(tab, "tbody.published tr") == []
    before = tab.find_element("css selector", ".scatter figure polyline.front")
    front = before.get_attribute("points").count(",")
    tab.find_element("css selector", "input[value=published]").click()
    shown = names(tab, "tbody.published tr")
    assert "MogaNet, 200 epochs" in shown
    tags = tab.find_elements("css selector", "tbody.published .tag")
    assert {tag.text for tag in tags} == {"published"}
    assert tab.find_elements("css selector", ".scatter circle.published")
    after = tab.find_element("css selector", ".scatter figure polyline.front")
    assert after.get_attribute("points").count(",") == front  # the front is ours alone
    best = tab.find_elements("css selector", "tbody.published td.best")
    assert not best
    picture(tab, "published")


@pytest.mark.slow
def test_the_keyboard_is_enough(tab):
    from selenium.webdriver.common.keys import Keys

    press(tab, Keys.TAB)
    assert tab.switch_to.active_element.get_attribute("class") == "skip"
    tab.execute_script("arguments[0].focus()", head(tab, "MAE"))
    press(tab, Keys.ENTER)
    assert head(tab, "MAE").find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    legend = tab.find_element("css selector", ".lead-legend button")
    pressed, text = legend.get_attribute("aria-pressed"), legend.text
    tab.execute_script("arguments[0].focus()", legend)
    press(tab, Keys.SPACE)
    focused = tab.switch_to.active_element
    assert focused.text == text
    assert focused.get_attribute("aria-pressed") != pressed
    link = tab.find_element("link text", "config")
    tab.execute_script("arguments[0].focus()", link)
    press(tab, Keys.ENTER)
    opened = tab.find_element("css selector", f"[id='{link.get_attribute('href').split('#')[1]}']")
    assert opened.get_attribute("open") is not None
    assert opened.find_element("tag name", "pre").is_displayed()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_can_be_read(tab, width, scheme):
    """Nothing but the table scrolls sideways; text stands out from its ground."""
    resize(tab, width)
    scheme_feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    tab.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_feature)
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.execute_script(overflow) <= 0
    probe = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    ink, paper = (luminance(colour) for colour in tab.execute_script(probe))
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7
    assert (paper < ink) == (scheme == "dark")
    picture(tab, f"{scheme}-{width}-top")
    for selector, name in ((".scatter", "plots"), (".gallery", "gallery")):
        target = tab.find_element("css selector", selector)
        tab.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", target)
        picture(tab, f"{scheme}-{width}-{name}")
    errors = [line for line in tab.get_log("browser") if line["level"] == "SEVERE"]
    assert errors == []


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" (WCAG 2)."""
    parts = [int(n) / 255 for n in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
