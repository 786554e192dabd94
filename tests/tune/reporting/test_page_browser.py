"""report.html in a real browser: nothing goes wrong, nothing is loaded, the table works."""

import base64
import dataclasses
import itertools
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.overhead_sampler import made_up_records
from hand_made_run import FINALISTS, HOSTILE, SAMPLES, STUDY, hand_made
from search_spaces import load_space
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.json_file import write_json
from tune.records.load import load_run, read_run
from tune.records.run_folder import RunFolder
from tune.records.study_file import STILL_RUNNING
from tune.records.trial import TrialRecord
from tune.reporting.page import write_page

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (pip install .[dev])"
)
pytestmark = [
    pytest.mark.slow,
    # Chromium 156 has twice stopped drawing frames for good; `browser` then ends it.
    pytest.mark.flaky(reruns=1, only_rerun=["TargetClosedError"]),
]

DESK, PHONE = (1280, 900), (360, 780)
BROWSER_SECONDS = 240.0
MANY = 400
"""Trials of the largest page: with a thousand, these tests took 40 seconds of a core more each."""
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# What has to be drawn is found by scrolling: a picture is drawn when it is about to be seen.
SCROLL = """async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
    scrollTo({top: y, behavior: "instant"});
    await new Promise((done) => setTimeout(done, 20));
  }
}"""
UNDRAWN = """() => [...document.querySelectorAll(".picture")]
  .filter((picture) => !picture.querySelector("svg.main-svg")).map((picture) => picture.id)"""
# plotly.js' own check of every figure, with a colour in the place of each name of one.
MISTAKES = """() => Object.entries(JSON.parse(
    document.getElementById("figures").textContent.replace(/"--\\w+"/g, '"#123456"')
  )).flatMap(([name, figure]) =>
    (Plotly.validate(figure.data, figure.layout) || []).map((found) => `${name}: ${found.msg}`))"""
# Of a screenshot: how many colours it has, and the share of the most frequent one.
COLOURS = """async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, image.width, image.height).data;
  const counts = new Map();
  for (const pixel of new Uint32Array(pixels.buffer)) {
    counts.set(pixel, (counts.get(pixel) || 0) + 1);
  }
  return [counts.size, Math.max(...counts.values()) / (image.width * image.height)];
}"""
SHOWN = """() => [...document.querySelectorAll("#table tbody tr")]
  .filter((row) => !row.hidden).map((row) => Number(row.cells[0].textContent))"""


@pytest.fixture
def browser() -> Iterator[Any]:
    """A browser of the test's own: Chromium 156 once stopped drawing frames between two tests.

    Once it did so in one, for good: pytest's timeout does not reach what waits for it.
    """
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=0
        )
        watch = threading.Timer(BROWSER_SECONDS, end_browsers)
        watch.start()
        yield chromium
        watch.cancel()
        chromium.close()


def end_browsers() -> None:
    """End the browsers of this process, so that what waits for them fails."""
    for process in psutil.Process().children(recursive=True):
        if "chrom" in process.name():
            process.kill()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of one run of each sort."""
    folder = tmp_path_factory.mktemp("pages")
    hostile = hand_made()
    hostile[0].baseline, hostile[-1].error = HOSTILE, HOSTILE
    extended = load_space("extended")
    runs: dict[str, tuple[list[TrialRecord], dict[str, Any]]] = {
        "whole": (hand_made(), {}),
        "running": (hand_made(), {"ended": STILL_RUNNING}),
        "empty": ([], {}),
        "failed": (hand_made()[5:], {}),
        "single": (hand_made()[3:4], {}),
        "hostile": (hostile, {"corpus": dataclasses.replace(STUDY.corpus, name=HOSTILE)}),
        "many": (made_up_records(extended, MANY), {"space": extended}),
    }
    for name, (records, study) in runs.items():
        run = RunFolder.create(folder / name)
        run.write_study(dataclasses.replace(STUDY, **study))
        run.write_tables(records)
        if name in ("whole", "hostile"):
            FINALIST_TABLE.write(FINALISTS, run.finalists_file)
            text = HOSTILE if name == "hostile" else SAMPLES.passages[0].text
            passage = dataclasses.replace(SAMPLES.passages[0], text=text)
            samples = dataclasses.replace(SAMPLES, passages=(passage,))
            write_json(samples, run.samples_data_file)
        write_page(read_run(run), run)
    return {name: folder / name / "report.html" for name in runs}


class Visit:
    """A page that is open, and what went wrong in it."""

    def __init__(self, browser: Any, path: Path, size: tuple[int, int], scheme: str) -> None:
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            is_mobile=size == PHONE,
            has_touch=size == PHONE,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(0)  # the test's own ends a hang
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        self.page.on("request", self._asked)
        self.page.goto(path.as_uri())

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file://", "data:")):
            self.wrong.append(request.url)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *error: object) -> None:
        self.context.close()
        if error[0] is None:
            assert self.wrong == []


def wait_until(page: Any, condition: str, **asked: Any) -> None:
    page.wait_for_function(condition, polling=100, **asked)  # ms; by default it waits for frames


def draw_all(page: Any) -> None:
    """Scroll through the page until every picture is drawn.

    Nothing here waits for a frame (`requestAnimationFrame`): a headless Chromium need not draw
    one (CI once hung so for 20 minutes), but a screenshot makes it.
    """
    while page.evaluate(SCROLL) or page.evaluate(UNDRAWN):
        page.screenshot()


def rgb(page: Any, selector: str, style: str) -> tuple[int, ...]:
    text = page.evaluate(
        f"() => getComputedStyle(document.querySelector({json.dumps(selector)})).{style}"
    )
    return tuple(int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(",")[:3])


def luminance(colour: tuple[int, ...]) -> float:
    parts = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(
        weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the contrast of two colours as WCAG 2 has it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


RUNS = ("whole", "running", "empty", "failed", "single", "hostile", "many")


@pytest.mark.parametrize("run", RUNS)
def test_nothing_goes_wrong_at_any_width_in_any_light(
    browser: Any, pages: dict[str, Path], run: str
) -> None:
    every = itertools.product((DESK, PHONE), ("light", "dark"))
    some = ((DESK, "light"), (PHONE, "dark"))
    for size, scheme in every if run == "whole" else some:
        with Visit(browser, pages[run], size, scheme) as page:
            draw_all(page)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
            assert page.evaluate(MISTAKES) == []
            paper = rgb(page, "body", "backgroundColor")
            assert (luminance(paper) < 0.1) == (scheme == "dark")
            for text in ("h1", ".over", ".facts span", "footer", "#trials h2"):
                assert contrast(rgb(page, text, "color"), paper) >= 4.5, text
            if page.query_selector(".picture text"):
                assert contrast(rgb(page, ".picture text", "fill"), paper) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_screenshots_show_text_and_pictures_on_paper(
    browser: Any, pages: dict[str, Path], size: tuple[int, int], scheme: str
) -> None:
    with Visit(browser, pages["whole"], size, scheme) as page:
        draw_all(page)
        paper = luminance(rgb(page, "body", "backgroundColor"))
        shots = [
            page.screenshot(),  # where one begins to read, wherever the page was scrolled to
            page.locator(".picture").first.screenshot(),
        ]
    blank = browser.new_page()
    for shot in shots:
        num_colours, of_paper = blank.evaluate(COLOURS, base64.b64encode(shot).decode())
        assert num_colours > 50 and 0.4 < of_paper < 0.99, (num_colours, of_paper)
    blank.close()
    assert (paper < 0.1) == (scheme == "dark")


def test_pictures_follow_the_light(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["whole"], DESK, "light") as page:
        draw_all(page)
        before = rgb(page, "#best-so-far text", "fill")
        page.emulate_media(color_scheme="dark")
        wait_until(
            page,
            "(before) => getComputedStyle(document.querySelector('#best-so-far text')).fill"
            " !== before",
            arg=f"rgb{before}",
        )
        assert luminance(rgb(page, "#best-so-far text", "fill")) > 0.5 > luminance(before)


def test_a_hostile_run_does_nothing_but_show(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["hostile"], DESK, "light") as page:
        draw_all(page)
        assert page.evaluate("() => document.images.length") == 0
        assert page.locator("#section-errors td").all_inner_texts()[-1] == HOSTILE
        assert "<script>pwned()" in page.inner_text(".passage")
        assert "<script>pwned()" in page.inner_text("#scores")  # a baseline's name
        assert page.evaluate("() => typeof pwned") == "undefined"


def test_table_sorts_by_keyboard_and_tells_how(browser: Any, pages: dict[str, Path]) -> None:
    trials = load_run(pages["whole"].parent).trials
    with Visit(browser, pages["whole"], DESK, "light") as page:
        head = page.locator("th[data-column=hidden_size]")
        for order in ("ascending", "descending"):
            head.locator("button").focus()
            page.keyboard.press("Enter")
            assert head.get_attribute("aria-sort") == order
            assert page.locator("th[aria-sort]").count() == 1
            shown = trials.set_index("number")["hidden_size"][page.evaluate(SHOWN)].to_list()
            assert shown == sorted(shown, reverse=order == "descending")
        # Numbers go by size, and those without a score come last both ways.
        for column, ascending in (("val_bits_per_char", True), ("val_bits_per_char", False)):
            page.locator(f"th[data-column={column}] button").click()
            expected = trials.sort_values(column, ascending=ascending)["number"].to_list()
            assert page.evaluate(SHOWN)[:5] == expected[:5]
            assert set(page.evaluate(SHOWN)[5:]) == {5, 6}


def test_table_filters_and_the_pictures_with_it(browser: Any, pages: dict[str, Path]) -> None:
    trials = load_run(pages["many"].parent).trials
    with Visit(browser, pages["many"], DESK, "light") as page:
        draw_all(page)
        for text, wanted in (
            ("complete hidden_size>600", "status == 'COMPLETE' and hidden_size > 600"),
            ("unit=word dropout<=0.2", "unit == 'word' and dropout <= 0.2"),
            ("number=7", "number == 7"),
            ("no_such_word", "number < 0"),
        ):
            expected = set(trials.query(wanted)["number"])
            page.fill("#filter", text)
            wait_until(
                page,
                "(count) => document.getElementById('shown').value === `${count} of 400 trials`",
                arg=len(expected),
            )
            assert set(page.evaluate(SHOWN)) == expected
            assert expected or text == "no_such_word"
        page.fill("#filter", "number=7")
        wait_until(page, "() => document.getElementById('shown').value.startsWith('1 of')")
        page.locator("#slice-dropout").scroll_into_view_if_needed()
        wait_until(
            page,
            """() => {
              const left = document.getElementById("slice-dropout").data
                .flatMap((trace) => (trace.selectedpoints ?? trace.customdata.keys().toArray())
                  .map((place) => trace.customdata[place]));
              return left.length === 1 && left[0] === 7;
            }""",
        )
        page.fill("#filter", "")
        wait_until(page, "() => document.getElementById('shown').value.startsWith('400 ')")
        assert len(page.evaluate(SHOWN)) == MANY


def test_a_click_on_a_point_shows_its_trial(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["whole"], DESK, "light") as page:
        page.locator("#best-so-far").scroll_into_view_if_needed()
        page.wait_for_selector("#best-so-far .points path")
        page.evaluate(
            "() => document.getElementById('best-so-far')"
            ".emit('plotly_click', {points: [{customdata: 3}]})"
        )
        assert page.locator("tr.found").get_attribute("id") == "trial-3"
        wait_until(
            page,
            "() => { const box = document.getElementById('trial-3').getBoundingClientRect();"
            " return box.top >= 0 && box.bottom <= innerHeight; }",
        )


def test_keyboard_reaches_the_filter_and_the_table(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["whole"], DESK, "light") as page:
        reached = []
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "() => document.activeElement.id || document.activeElement.className"
                )
            )
            if reached[-1] == "wide all":
                break
        assert reached[0] == "skip" and "filter" in reached and reached[-1] == "wide all"


def test_paper_has_all_pictures_and_no_buttons(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["whole"], DESK, "dark") as page:
        assert len(page.evaluate(UNDRAWN)) > 5  # nobody has scrolled
        assert len(page.pdf()) > 50_000
        assert page.evaluate(UNDRAWN) == []
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible() and not page.locator("#filter").is_visible()


def test_paper_has_the_first_rows_that_the_filter_shows(
    browser: Any, pages: dict[str, Path]
) -> None:
    printed = """() => [...document.querySelectorAll("#table tbody tr")]
      .filter((row) => row.checkVisibility()).map((row) => Number(row.cells[0].textContent))"""
    with Visit(browser, pages["many"], DESK, "light") as page:
        for text, num_shown in (("number>=300", 100), ("", MANY), ("number=7", 1)):
            page.emulate_media(media="screen")
            page.fill("#filter", text)
            wait_until(
                page,
                "(count) => document.getElementById('shown').value.startsWith(`${count} of`)",
                arg=num_shown,
            )
            page.locator("th[data-column=number] button").click()
            page.evaluate("dispatchEvent(new Event('beforeprint'))")
            page.emulate_media(media="print")
            assert page.evaluate(printed) == page.evaluate(SHOWN)[:40]
            assert page.locator(".printed").is_visible() == (num_shown > 40)
