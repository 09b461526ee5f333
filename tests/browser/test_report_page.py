"""The report in Chromium, at a phone's and a desktop's width, light and dark."""

import pytest

WIDTHS = (390, 1280)  # pixels
CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3, for text of ordinary size

#: Texts that stand out less from what is behind them: [text, ratio], by WCAG 2.2's definition.
FAINT = """(least) => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const opaque = (colour) => { const parts = numbers(colour); return !(parts[3] < 1); };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (opaque(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("script, style, title")) continue;
    const style = getComputedStyle(element);
    const own = element.closest("svg") ? style.fill : style.color;
    if (own === "none" || !opaque(own)) continue;
    const both = [luminance(own), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (both[0] + 0.05) / (both[1] + 0.05);
    seen += 1;
    if (ratio < least) faint.push(`${ratio.toFixed(2)}: ${text.slice(0, 60)}`);
  }
  return {faint: [...new Set(faint)], seen};
}"""

#: How far the page reaches past the window, and which elements outside of scrolling boxes do.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const boxed = (e) => e.closest(".wide, .chart, .skip") || e.parentElement.closest("svg");
  const names = [...document.body.querySelectorAll("*")]
    .filter((e) => !boxed(e) && e.getBoundingClientRect().right > width + 1)
    .map((e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`);
  return [document.documentElement.scrollWidth - width, names.slice(0, 5)];
}"""

#: Of each figure that can be seen: pixels for a point of its letters, and how far it is cut off.
FIGURES = """() => [...document.querySelectorAll("figure svg")].filter((e) => e.checkVisibility())
  .map((e) => {
    const box = e.getBoundingClientRect(), frame = e.closest("figure").getBoundingClientRect();
    const over = Math.max(box.right - frame.right, frame.left - box.left, frame.right - innerWidth);
    return [box.width / e.viewBox.baseVal.width, Math.max(0, over)];
  })"""

#: Gives each fold and selector a number, and says which can be seen.
NUMBERED = """() => [...document.querySelectorAll("summary, select")].map((e, i) => {
  e.dataset.stop = i;
  return e.checkVisibility() ? i : -1;
}).filter((i) => i >= 0)"""


@pytest.fixture(params=WIDTHS)
def opened(request, chromium, report):
    page = chromium.new_page(viewport={"width": request.param, "height": 900})
    page.complaints = []
    page.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", lambda asked: page.complaints.append(f"failed: {asked.url}"))
    page.asked = []
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(report)
    yield page
    page.close()


def unfold(page):
    """Open each fold, and wait until its chart is drawn."""
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    charts = page.locator("details.explore").count()
    assert charts > 0
    page.wait_for_function(
        "n => document.querySelectorAll('details.explore .chart svg').length === n", arg=charts
    )


def test_no_error_nothing_fetched_and_no_overflow(opened):
    assert opened.evaluate(TOO_WIDE) == [0, []]
    unfold(opened)
    assert opened.evaluate(TOO_WIDE) == [0, []]
    assert opened.complaints == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []


def test_whole_figures_can_be_seen_and_read(opened):
    figures = opened.evaluate(FIGURES)
    assert len(figures) == opened.locator("figure").count() > 0  # one of two widths
    assert [over for _, over in figures if over] == []
    assert min(scale for scale, _ in figures) > 1.2


def test_folds_and_selectors_are_reached_and_used_by_keyboard(opened):
    fold = opened.locator("details.explore summary").first
    fold.focus()
    opened.keyboard.press("Enter")
    assert fold.evaluate("e => e.parentElement.open")
    unfold(opened)
    wanted = set(opened.evaluate(NUMBERED))
    assert opened.locator("select").count() > 0
    opened.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    reached, stops = set(), opened.evaluate(
        "document.querySelectorAll('a, summary, select, input, [tabindex]').length"
    )  # fmt: skip
    unseen = []
    for _ in range(stops + 5):
        opened.keyboard.press("Tab")
        stop, name, outlined = opened.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.dataset.stop ?? null, e.outerHTML.slice(0, 60),"
            " s.outlineStyle !== 'none' || e === document.body]; }"
        )
        if stop is not None:
            reached.add(int(stop))
        if not outlined:
            unseen.append(name)
    assert reached == wanted
    assert unseen == []


def test_a_choice_by_keyboard_changes_the_chart(opened):
    unfold(opened)
    select = opened.locator("details.explore select").last
    chart = select.locator("xpath=ancestor::div[contains(@class, 'chart')]")
    before = chart.locator("svg").inner_html()
    select.focus()
    opened.keyboard.press("ArrowDown")
    opened.wait_for_timeout(300)
    assert chart.locator("svg").inner_html() != before
    assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(opened, scheme):
    opened.emulate_media(color_scheme=scheme)
    unfold(opened)
    found = opened.evaluate(FAINT, CONTRAST)
    assert found["seen"] > 100
    assert found["faint"] == []


def test_a_reader_without_scripts_sees_figures_and_tables(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    assert page.locator("figure svg").first.is_visible()
    page.locator("details:not(.explore) > summary").first.click()
    assert page.locator("details:not(.explore) table").first.is_visible()
    assert not page.locator("details.explore").first.is_visible()
    context.close()


def test_paper_cuts_nothing_off(chromium, report):
    """A4 has 180 mm between margins of 15 mm; what scrolls on a screen is cut off there."""
    page = chromium.new_page(viewport={"width": round(180 / 25.4 * 96), "height": 1000})
    page.goto(report)
    page.emulate_media(media="print")
    assert page.evaluate(TOO_WIDE) == [0, []]
    cut = "e => e.checkVisibility() && e.scrollWidth > e.clientWidth"
    boxes = page.locator(".wide")
    assert boxes.count() > 1
    assert [b.get_attribute("aria-label") for b in boxes.all() if b.evaluate(cut)] == []
    longest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('figure')].map(e => e.offsetHeight))"
    )
    assert 0 < longest < 267 / 25.4 * 96  # a page's height between its margins
    page.close()
