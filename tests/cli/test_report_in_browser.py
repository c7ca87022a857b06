"""The report in a real browser: sorted, filtered, compared, enlarged, by mouse and by keyboard, without an error.

Skipped where there is no Chromium, or no playwright to drive it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import call, run

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def made() -> list[Path]:
    """The report, once it is made."""
    return []


@pytest.fixture
def page(browser: Any, tiny: Path, made: list[Path]) -> Iterator[Any]:
    """The report of six rows, open; at the end, nothing has gone wrong and nobody was asked for anything."""
    if not made:
        run(tiny, "--eps", "1,10", "--references", "real,public")
        run(tiny, "--eps", "1", "--set", "spread=20")
        run(tiny, method="alone")
        made.append(tiny.parent / "report.html")
        call("report", tiny, "--out", made[0])
    (path,) = made
    page = browser.new_page()
    page.set_default_timeout(15_000)
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert wrong == []
    assert set(asked) <= {"file", "data"}


def column(page: Any, number: int) -> list[str]:
    """The texts of a column of the leaderboard."""
    return [
        text.split("\n")[0].strip() for text in page.locator(f"#board tbody td:nth-child({number})").all_inner_texts()
    ]


def sort(page: Any, heading: str) -> None:
    page.get_by_role("button", name=heading).click()


def test_rows_are_sorted_by_their_headings(page: Any) -> None:
    usual = column(page, 2)
    assert usual[0] == "real images"
    sort(page, "brightness")
    scores = [float(text.split(" ")[0]) for text in column(page, 6)]
    assert scores == sorted(scores)
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("brightness")
    page.keyboard.press("Enter")  # the heading keeps the focus
    assert [float(text.split(" ")[0]) for text in column(page, 6)] == scores[::-1]
    sort(page, "method")
    assert column(page, 2) != usual


def test_rows_come_by_rank_within_their_budget_and_track(page: Any) -> None:
    ranks = {"fake": 2, "fake [spread=20.0]": 1}
    page.evaluate(
        "ranks => { for (const line of table().lines.filter((line) => line.ranks.brightness))"
        " line.ranks.brightness = ranks[line.title] ?? 1; update({}); }",
        ranks,
    )
    names = [name for name, epsilon in zip(column(page, 2), column(page, 3), strict=True) if epsilon == "1"]
    assert [name for name in names if name in ranks] == ["fake [spread=20.0]", "fake"]
    page.evaluate(
        "() => { for (const line of table().lines) if (line.ranks.brightness)"
        " line.ranks.brightness = 3 - line.ranks.brightness; update({}); }"
    )
    names = [name for name, epsilon in zip(column(page, 2), column(page, 3), strict=True) if epsilon == "1"]
    assert [name for name in names if name in ranks] == ["fake", "fake [spread=20.0]"]


def test_what_stands_below_a_name_is_readable(page: Any) -> None:
    page.set_viewport_size({"width": 500, "height": 700})
    page.locator("#board summary").nth(1).click()
    place = page.locator("#board details[open] dd", has_text="one record replaced by nothing").bounding_box()
    assert place["width"] > 200
    assert place["height"] < 50  # not a letter per line


def test_budgets_beside_points_do_not_cover_each_other(page: Any) -> None:
    page.evaluate(
        "() => { for (const line of table().lines) { line.costs = { queries: 1 }; line.scores.brightness = [1, null]; }"
        " update({ cost: 'queries' }); }"
    )
    texts = page.locator("#cost-chart svg.chart text").filter(has_text="ε=")
    places = [texts.nth(number).bounding_box() for number in range(texts.count())]
    assert len(places) >= 2
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            apart = [one[at] + one[size] <= other[at] + 1 or other[at] + other[size] <= one[at] + 1
                     for at, size in (("x", "width"), ("y", "height"))]  # fmt: skip
            assert any(apart)


def test_rows_are_filtered_everywhere(page: Any) -> None:
    page.get_by_role("searchbox").fill("alone")
    assert column(page, 2) == ["alone"]
    assert page.locator(".budget").count() == 1
    assert page.locator(".again").count() == 1
    page.get_by_role("searchbox").fill("")
    page.get_by_label("ε", exact=True).select_option("10")
    assert column(page, 3) == ["", "10", "0"]
    page.get_by_label("Track").select_option("none")
    assert column(page, 2) == ["real images"]
    page.get_by_role("searchbox").fill("nothing like it")
    assert "No row passes" in page.locator("#board").inner_text()


def test_two_rows_are_compared(page: Any) -> None:
    assert "Choose two rows" in page.locator("#pair").inner_text()
    for name in ("compare fake, ε = 1", "compare fake [spread=20.0], ε = 1"):
        page.get_by_label(name, exact=True).check()
    said = page.locator("#pair").inner_text()
    assert "ranked against each other by brightness" in said
    assert [text.split() for text in page.locator("#pair table").first.locator("tbody tr").all_inner_texts()] == [
        ["spread", "5.0", "20.0"]
    ]
    page.get_by_label("compare fake, ε = 10", exact=True).check()
    assert page.locator("#board tbody input:checked").count() == 2
    assert "not ranked against each other by brightness: other ε" in page.locator("#pair").inner_text()


def test_the_same_cell_of_all_grids_is_enlarged(page: Any) -> None:
    page.get_by_label("ε of the samples").select_option("1")
    grids = page.locator("#grids figure")
    assert page.locator("#grids .names span").all_inner_texts() == ["dark", "bright"]
    page.locator("#grids .picture").nth(1).click(position={"x": 40, "y": 40})
    dialog = page.get_by_role("dialog")
    assert dialog.inner_text().startswith("bright, image 2")
    assert dialog.locator(".cell").count() == grids.count()
    assert dialog.locator("figure.clicked").count() == 1
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    assert dialog.inner_text().startswith("dark, image 3")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_figures_and_budgets_show_every_row(page: Any) -> None:
    assert page.locator("#curve-charts svg.chart g[fill] title").count() == 5
    assert page.locator("#cost-chart svg.chart g[fill] title").count() >= 4
    assert page.locator(".budget .bar").count() == 4
    page.locator(".budget summary").first.click()
    assert "NoisySum" in page.locator(".budget").first.inner_text()
    assert "it is a reference" in page.locator("#apart").inner_text()
    assert page.locator("code.command").first.inner_text().startswith("dpbench run")


def test_light_dark_phone_and_print(page: Any) -> None:
    def paper() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.emulate_media(color_scheme="light")
    light = paper()
    page.get_by_role("button", name="Light or dark").click()
    assert paper() != light
    page.emulate_media(media="print", color_scheme="light")
    assert paper() == light
    assert not page.locator("#controls").is_visible()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
