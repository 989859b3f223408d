"""The page in a browser: table, filter, tabs, plots, gallery, keyboard, contrast, phone width."""

import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.page import Gallery, page
from predcnn.leaderboard.render import write_strip
from predcnn.leaderboard.robustness import robustness_of
from tests.leaderboard.made_records import a_board, noisy, run

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def clip(level: int, frames: int = 4) -> np.ndarray:
    pixels = np.zeros((frames, 1, 16, 16), np.uint8)
    for t in range(frames):
        pixels[t, 0, 4:10, t : t + 6] = level
    return pixels


def write(folder: Path, made: list) -> Path:
    """Write a page of boards, the clips of the first one included."""
    first = made[0]
    (folder / "clips").mkdir()
    shown = [(first.key, "Truth"), *((r.slug, r.label) for r in first.rows if r.finished)]
    for i, (slug, _) in enumerate(shown):
        path = folder / "clips" / f"{slug}.png"
        write_strip(path, clip(255), clip(90 + 3 * i))
    galleries = {first.key: Gallery(4, 4, (16, 16), tuple(shown))}
    path = folder / "leaderboard.html"
    robust = robustness_of([noisy("simvp_vit", 90.0), noisy("convlstm", 80.0, "model")])
    text = page(made, galleries, "Rendered for a test.", folder, robust)
    path.write_text(text, encoding="utf-8")
    return path


def many() -> list[dict]:
    """A board of 40 entries, and another data set."""
    more = [
        run(f"simvp_extra{i}", 104.0 + i / 4, macs=(490 - i) * 10**6, speed=21.0 + i / 2)
        for i in range(34)
    ]
    other = run("simvp_van", 200.0) | {"test_fingerprint": "other", "fingerprint": "other"}
    other["data"]["name"] = "mmnist_cifar"
    return [*a_board(), *more, other]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return write(folder, boards(many()))


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


def test_the_page_is_complete_and_loads_only_its_clips(written):
    text = written.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.anchors - {""} <= set(outline.ids)
    clips = {source for source in outline.loaded if not source.startswith("data:")}
    assert clips == {
        path.relative_to(written.parent).as_posix() for path in written.parent.glob("clips/*")
    }
    assert text.count("<img") == text.count('loading="lazy"') == len(clips)
    assert "@import" not in text
    assert "a &lt; b &amp; c" in text  # configs are escaped
    data = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data.replace("<\\/", "</"))[0]["metrics"][0]["key"] == "mse"


def test_the_leaderboard_of_this_repository_is_small_and_has_its_clips():
    folder = Path(__file__).resolve().parents[2] / "docs" / "leaderboard"
    text = (folder / "leaderboard.html").read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    outline = Outline()
    outline.feed(text)
    clips = [source for source in outline.loaded if not source.startswith("data:")]
    assert len(clips) > 40
    assert [source for source in clips if not (folder / source).is_file()] == []


def test_links_to_code_exist_only_within_the_checkout(tmp_path):
    made = boards([run("simvp_van", 100.0)])
    assert ">code</a>" not in page(made, {}, "", tmp_path)
    root = Path(__file__).resolve().parents[2]
    assert 'href="../predcnn/blocks/van.py"' in page(made, {}, "", root / "docs")


def test_published_points_are_drawn_only_under_their_protocol(tmp_path):
    full = run("simvp_van", 30.0) | {"scale": "published", "budget_minutes": None}
    full["data"]["protocol"] = "openstl"
    counts = []
    for record in (full, run("simvp_van", 30.0)):
        text = page(boards([record]), {}, "", tmp_path)
        data = json.loads(text.split('id="data">')[1].split("</script>")[0])
        counts.append(len(data[0]["published"]))
        assert "MogaNet" in text  # the table of published results is always there
    assert counts[0] > 40
    assert counts[1] == 0


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
    """The page as loaded, 1400 pixels wide."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    resize(browser, 1400)
    browser.get("about:blank")
    browser.get(written.as_uri())
    return browser


def resize(tab, width: int, height: int = 900) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def screenshot(tab, name: str) -> None:
    """Keep a screenshot in the folder PREDCNN_SCREENSHOTS."""
    folder = os.environ.get("PREDCNN_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tab.save_screenshot(str(Path(folder) / f"{name}.png"))


def labels(tab, selector: str = "section:not([hidden]) tr[data-i] .name") -> list[str]:
    """Texts of the visible elements, tags of table rows excluded."""
    script = (
        "return [...document.querySelectorAll(arguments[0])].filter(part => part.checkVisibility())"
        ".map(part => part.dataset.v || part.textContent.trim())"
    )
    return tab.execute_script(script, selector)


def press(tab, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(tab).send_keys(*keys).perform()


def find(tab, selector: str):
    return tab.find_element("css selector", f"section:not([hidden]) {selector}")


def unfold(tab, selector: str):
    """Open a folded part and wait until its plot is drawn."""
    from selenium.webdriver.support.wait import WebDriverWait

    part = find(tab, selector)
    scroll = "arguments[0].scrollIntoView({behavior: 'instant'})"
    tab.execute_script(f"arguments[0].open = true; {scroll}", part)
    if part.find_elements("css selector", ".plot"):
        WebDriverWait(tab, 20).until(lambda _: part.find_elements("css selector", ".plot svg"))
    return part


def wait(tab, condition) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(tab, 20, poll_frequency=0.05).until(lambda _: condition())


def head(tab, text: str):
    return tab.find_element("xpath", f"//th/button[starts-with(., '{text}')]")


@pytest.mark.slow
def test_the_table_is_first_and_its_main_columns_fit(tab):
    table = find(tab, "table")
    assert table.rect["y"] < 200
    assert tab.execute_script("return document.querySelectorAll('.part[open]').length") == 0
    scroll = find(tab, ".scroll")
    overflow = "return arguments[0].scrollWidth - arguments[0].clientWidth"
    assert tab.execute_script(overflow, scroll) <= 0
    tab.execute_script("arguments[0].scrollTop = 600", scroll)
    assert head(tab, "MSE").rect["y"] < scroll.rect["y"] + 40  # the header stays
    resize(tab, 390)
    tab.execute_script("arguments[0].scrollTop = 0; arguments[0].scrollLeft = 500", scroll)
    name = find(tab, "tr[data-i] .name")
    assert name.rect["x"] < 80  # and the first columns
    assert name.text.startswith("SimVP + MogaNet")


@pytest.mark.slow
def test_columns_sort_both_ways_with_missing_values_last(tab):
    assert labels(tab)[:2] == ["SimVP + MogaNet", "simvp_extra0"]
    head(tab, "SSIM ").click()
    cell = head(tab, "SSIM ").find_element("xpath", "..")
    assert cell.get_attribute("aria-sort") == "descending"
    assert labels(tab)[0] == "SimVP + MogaNet"
    head(tab, "SSIM ").click()
    assert cell.get_attribute("aria-sort") == "ascending"
    assert labels(tab)[:2] == ["Copy of the last frame", "All black"]
    head(tab, "seq/s (batch 1)").click()
    assert cell.get_attribute("aria-sort") is None
    assert labels(tab)[:2] == ["Mean training frame", "SimVP + ConvMixer"]
    assert set(labels(tab)[-3:]) == {"Copy of the last frame", "All black", "MIM"}
    head(tab, "rank").click()
    assert labels(tab)[0] == "SimVP + MogaNet"


@pytest.mark.slow
def test_the_chooser_shows_columns(tab):
    assert not head(tab, "steps").is_displayed()
    chooser = find(tab, ".chooser")
    chooser.find_element("css selector", "summary").click()
    chooser.find_element("xpath", ".//label[contains(., 'steps')]/input").click()
    assert head(tab, "steps").is_displayed()
    index = head(tab, "steps").find_element("xpath", "..").get_attribute("data-column")
    assert find(tab, f"td[data-column='{index}']").text == "500"
    from selenium.webdriver.common.keys import Keys

    press(tab, Keys.ESCAPE)
    assert chooser.get_attribute("open") is None


@pytest.mark.slow
def test_the_filter_accepts_any_word_and_the_parts_below_follow(tab):
    search = find(tab, "input[type=search]")
    for text in ("vit, convlstm", "vit convlstm"):
        search.clear()
        search.send_keys(text)
        assert labels(tab) == ["ConvLSTM", "SimVP + ViT"]
    assert find(tab, "output").text == "2 of 42 entries"
    assert len(unfold(tab, ".scatter").find_elements("css selector", ".point")) == 2
    assert len(unfold(tab, ".lead").find_elements("css selector", ".curve")) == 2
    unfold(tab, ".gallery")
    assert labels(tab, ".gallery figcaption") == ["Truth", "ConvLSTM", "SimVP + ViT"]
    unfold(tab, ".entries")
    assert labels(tab, ".entry h3") == ["ConvLSTM", "SimVP + ViT"]


@pytest.mark.slow
def test_an_empty_result_offers_to_clear_the_filter(tab):
    find(tab, "input[type=search]").send_keys("xyz xy")
    empty = find(tab, ".empty")
    assert "No entry matches “xyz xy”." in empty.text
    empty.find_element("tag name", "button").click()
    assert not empty.is_displayed()
    assert len(labels(tab)) == 42
    for kind in ("translator", "model", "baseline"):
        find(tab, f".controls > label input[value={kind}]").click()
    assert "No entry matches the ticked kinds." in empty.text


@pytest.mark.slow
def test_a_tab_per_data_set_by_mouse_keys_and_link(tab, written):
    from selenium.webdriver.common.keys import Keys

    tabs = tab.find_elements("css selector", "[role=tab]")
    noisy = "Moving MNIST with noise on the past frames"
    assert [one.text for one in tabs] == ["Moving MNIST", "MMNIST-CIFAR", noisy]
    tabs[2].click()
    assert find(tab, "tbody th").text == "ConvLSTM"
    assert find(tab, "p.summary").text.startswith("Evaluation only")
    tabs[1].click()
    assert labels(tab)[0] == "SimVP + VAN"
    press(tab, Keys.ARROW_LEFT)
    assert tab.switch_to.active_element.text == "Moving MNIST"
    assert len(labels(tab)) == 42
    tab.get(f"{written.as_uri()}#mmnist_cifar-small-4min-isolated-simvp_van")
    assert (
        tab.find_elements("css selector", "[role=tab]")[1].get_attribute("aria-selected") == "true"
    )
    assert find(tab, ".entry").get_attribute("open") is not None


@pytest.mark.slow
def test_the_scatter_plot_has_axes_to_choose_and_a_card_for_mouse_and_keys(tab):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    part = unfold(tab, ".scatter")
    front = part.find_element("css selector", ".front").get_attribute("points")
    Select(part.find_element("css selector", ".x")).select_by_visible_text("seq/s (batch 1)")
    Select(part.find_element("css selector", ".y")).select_by_visible_text("SSIM")
    assert part.find_element("css selector", ".front").get_attribute("points") != front
    svg, card = (part.find_element("css selector", name) for name in ("svg", ".card"))
    tab.execute_script("arguments[0].focus()", svg)
    press(tab, Keys.HOME)
    assert "SSIM" in card.text
    assert "seq/s (batch 1) 9" in card.text
    assert "ConvLSTM" in card.text
    assert "hot" in find(tab, "tr.hot").get_attribute("class")
    press(tab, Keys.ESCAPE)
    assert not card.is_displayed()
    point = part.find_element("css selector", ".point.model")
    ActionChains(tab).move_to_element_with_offset(point, 8, 6).perform()
    assert card.text.startswith("ConvLSTM")
    assert find(tab, "tr.hot .name").text.startswith("ConvLSTM")
    press(tab, Keys.ENTER)
    wait(tab, lambda: find(tab, ".entry[open] h3").text == "ConvLSTM")


@pytest.mark.slow
def test_five_of_forty_curves_are_coloured_and_more_can_be_chosen(tab):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    part = unfold(tab, ".lead")

    def count(name: str) -> int:
        return len(part.find_elements("css selector", name))

    assert (count(".curve"), count(".curve.on"), count(".chips button")) == (41, 5, 5)
    part.find_element("css selector", ".chips button").click()
    assert count(".curve.on") == 4
    Select(part.find_element("css selector", ".add")).select_by_visible_text("ConvLSTM")
    assert "ConvLSTM ×" in [b.text for b in part.find_elements("css selector", ".chips button")]
    tab.execute_script("arguments[0].focus()", part.find_element("tag name", "svg"))
    press(tab, Keys.ARROW_DOWN)
    assert "lead time in frames 5" in part.find_element("css selector", ".card").text
    assert count(".curve.hot") == 1
    press(tab, Keys.ENTER)
    assert count(".curve.on") == 6


@pytest.mark.slow
def test_the_gallery_plays_only_what_is_in_view(tab):
    resize(tab, 390, 500)
    part = unfold(tab, ".gallery")
    tab.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", part)
    images = part.find_elements("css selector", "img")
    slider = part.find_element("css selector", "input[type=range]")
    wait(tab, lambda: int(slider.get_attribute("value")) > 2)
    assert images[0].get_attribute("data-frame") is not None
    assert images[-1].get_attribute("data-frame") is None
    assert tab.execute_script("return arguments[0].naturalWidth", images[0]) == 8 * 16
    assert not tab.execute_script("return arguments[0].style.objectPosition", images[-1])
    play = part.find_element("css selector", ".play")
    play.click()
    assert play.text == "Play"
    tab.execute_script(
        "arguments[0].value = 5; arguments[0].dispatchEvent(new Event('input'))", slider
    )
    assert part.find_element("tag name", "output").text == "prediction 2 of 4"
    assert images[0].get_attribute("data-frame") == "5"


@pytest.mark.slow
def test_the_page_works_by_keyboard(tab):
    from selenium.webdriver.common.keys import Keys

    press(tab, Keys.TAB)
    assert tab.switch_to.active_element.get_attribute("class") == "skip"
    seen = []
    for _ in range(12):
        press(tab, Keys.TAB)
        focused = tab.switch_to.active_element
        seen.append(focused.get_attribute("role") or focused.tag_name)
        outline = "return getComputedStyle(document.activeElement).outlineStyle"
        assert tab.execute_script(outline) != "none"
    assert seen[:6] == ["tab", "a", "input", "input", "input", "input"]
    tab.execute_script("arguments[0].focus()", head(tab, "MAE"))
    press(tab, Keys.ENTER)
    assert head(tab, "MAE").find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    link = tab.find_element("link text", "config")
    tab.execute_script("arguments[0].focus()", link)
    press(tab, Keys.ENTER)
    opened = tab.find_element("css selector", f"[id='{link.get_attribute('href').split('#')[1]}']")
    wait(tab, lambda: opened.get_attribute("open") is not None)
    assert opened.find_element("tag name", "pre").is_displayed()


NAMELESS = """
const named = part => part.textContent.trim() || part.alt || part.getAttribute('aria-label')
  || [...(part.labels || [])].some(label => label.textContent.trim());
return [...document.querySelectorAll('a, button, input, select, summary, img, [tabindex="0"]')]
  .filter(part => part.checkVisibility() && !named(part))
  .map(part => part.outerHTML.slice(0, 80));
"""
FAINT_TEXT = """
const parse = colour => colour.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = part => {
  for (; part; part = part.parentElement) {
    const colour = parse(getComputedStyle(part).backgroundColor);
    if (colour.length < 4 || colour[3] > 0.99) return colour;
  }
  return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
while (walker.nextNode()) {
  const part = walker.currentNode.parentElement, text = walker.currentNode.data.trim().slice(0, 30);
  if (!text || !part.checkVisibility() || part.closest('.skip, option')) continue;
  const style = getComputedStyle(part), svg = part.closest('svg');
  const ink = luminance(parse(svg ? style.fill : style.color)), paper = luminance(ground(part));
  const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  if (ratio < 4.5) found.push(`${text}: contrast ${ratio.toFixed(2)}`);
  const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  const size = parseFloat(style.fontSize) * scale;
  if (size < 11.99) found.push(`${text}: ${size} px`);
}
return [...new Set(found)];
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_fits_and_is_readable(tab, width, scheme):
    """With all parts open: contrast 4.5 or more, text of 12 pixels or more, names for controls."""
    resize(tab, width)
    scheme_feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    tab.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_feature)
    screenshot(tab, f"{scheme}-{width}-top")
    for name in (".scatter", ".lead", ".gallery", ".entries"):
        unfold(tab, name)
        screenshot(tab, f"{scheme}-{width}-{name[1:]}")
    tab.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.execute_script(overflow) <= 0
    assert tab.execute_script(NAMELESS) == []
    assert tab.execute_script(FAINT_TEXT) == []
    errors = [line for line in tab.get_log("browser") if line["level"] == "SEVERE"]
    assert errors == []
