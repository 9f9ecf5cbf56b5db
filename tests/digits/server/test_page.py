"""The page in a real browser, with the shipped model."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.digits.server.conftest import Running, saved, seven, star

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
QUIET += ["disable-component-update", "disable-sync"]
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt install chromium")

NOTHING = "\N{EN DASH}"

# The strokes of each digit, in a box from 0 to 100.
STROKES = {
    "0": ["50,5 20,15 8,50 20,85 50,97 80,85 92,50 80,15 50,5"],
    "1": ["30,20 55,3 54,50 52,98"],
    "2": ["12,25 25,8 50,3 78,12 80,35 60,60 10,95 50,93 92,94"],
    "3": ["12,12 45,3 78,14 75,35 40,46 80,58 85,80 55,97 12,88"],
    "4": ["55,3 30,35 8,65 50,65 94,63", "68,35 66,70 64,99"],
    "5": ["82,5 22,5 17,45 50,38 82,52 84,80 50,97 10,88"],
    "6": ["72,4 40,20 16,55 18,85 48,98 78,86 80,62 52,50 20,68"],
    "7": ["10,8 50,6 90,5 65,45 45,98"],
    "8": ["78,15 50,3 22,15 30,38 70,60 82,82 52,97 20,84 30,60 70,38 78,15"],
    "9": ["80,22 50,4 20,18 22,42 52,50 78,30 80,22 76,60 66,98"],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in QUIET])
        yield browser
        browser.close()


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, server: Running) -> Iterator[Opened]:
    """Return a function that opens the page. The page must not log errors or contact any other host."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []
    hosts: set[str] = set()

    def open_(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: hosts.add(request.url.split("/")[2] or "data"))
        page.goto(server.url)
        expect(page.locator("#model")).to_contain_text("Model cnn")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not [text for text in errors if "a status of 429" not in text]
    assert hosts <= {f"127.0.0.1:{server.port}", "data"}


def draw(page: Page, digit: str, left: float = 0.36, width: float = 0.28) -> None:
    """Draw `digit` with the mouse; `left` and `width` are relative to the drawing area."""
    area = page.locator("#pad").bounding_box()
    assert area
    for stroke in STROKES[digit]:
        points = [tuple(map(float, point.split(","))) for point in stroke.split()]
        places = [
            (area["x"] + area["width"] * (left + width * x / 100), area["y"] + area["height"] * (0.15 + 0.007 * y))
            for x, y in points
        ]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()


def expect_text(page: Page, text: str) -> None:
    """Wait until the page shows `text` as the result."""
    expect(page.locator("#text")).to_have_text(text)


def test_all_ten_digits_are_recognised(opened: Opened) -> None:
    page = opened()
    for digit in STROKES:
        draw(page, digit)
        expect_text(page, digit)
        expect(page.locator("#bars .best")).to_contain_text(digit)
        page.get_by_role("button", name="Clear").click()
        expect_text(page, NOTHING)


def test_a_digit_is_shown_with_its_input_and_probabilities(opened: Opened) -> None:
    page = opened()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    draw(page, "7")
    expect_text(page, "7")
    expect(page.get_by_role("status")).to_contain_text("Recognised: 7. 7 with")
    image = page.locator("#digits img").first
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [28, 28]
    width = "bar => bar.getBoundingClientRect().width / bar.parentElement.getBoundingClientRect().width"
    page.wait_for_timeout(300)
    assert page.locator("#bars .best .fill").evaluate(width) > 0.8
    page.get_by_role("button", name="Undo").click()
    expect_text(page, NOTHING)
    expect(page.locator("#digits")).to_be_hidden()


def test_undo_removes_one_stroke(opened: Opened) -> None:
    page = opened()
    draw(page, "1")
    expect_text(page, "1")
    area = page.locator("#pad").bounding_box()
    assert area
    page.mouse.move(area["x"] + area["width"] * 0.35, area["y"] + area["height"] * 0.17)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.55, area["y"] + area["height"] * 0.16, steps=5)
    page.mouse.up()
    with page.expect_response("**/predict*"):
        page.keyboard.press("Control+z")
    expect_text(page, "1")
    page.keyboard.press("Escape")
    expect_text(page, NOTHING)


def test_digits_can_be_drawn_with_the_keyboard(opened: Opened) -> None:
    page = opened()
    page.locator("#pad").focus()
    for key, times in (("ArrowUp", 8), (" ", 1), ("ArrowDown", 16), (" ", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    expect_text(page, "1")


def test_a_picture_can_be_opened(opened: Opened) -> None:
    page = opened()
    large = saved(seven(3_000))  # more pixels than the service accepts; the page reduces it
    page.locator("#file").set_input_files({"name": "seven.png", "mimeType": "image/png", "buffer": large})
    expect_text(page, "7")
    page.locator("#file").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"seven"})
    expect(page.locator("#message")).to_contain_text("Cannot open notes.txt as a picture.")


def test_a_blank_picture_has_no_digits(opened: Opened) -> None:
    page = opened()
    blank = saved(Image.new("L", (300, 200), 255))
    page.locator("#file").set_input_files({"name": "blank.png", "mimeType": "image/png", "buffer": blank})
    expect(page.locator("#message")).to_have_text("No digits found.")
    expect_text(page, NOTHING)


def test_the_reason_of_a_rejection_is_shown(opened: Opened) -> None:
    page = opened()
    page.locator("#file").set_input_files({"name": "star.png", "mimeType": "image/png", "buffer": saved(star())})
    expect(page.locator("#message")).to_have_text("No digits found. Rejected: not a digit.")
    expect_text(page, NOTHING)


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_picture_can_be_pasted_or_dropped(opened: Opened, event: str) -> None:
    page = opened()
    give = """([event, content]) => {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "seven.png", { type: "image/png" }));
        const given = event === "paste" ? new ClipboardEvent(event, { clipboardData: data, bubbles: true })
                                        : new DragEvent(event, { dataTransfer: data, bubbles: true });
        document.getElementById("paper").dispatchEvent(given);
    }"""
    page.evaluate(give, [event, base64.b64encode(saved(seven())).decode()])
    expect_text(page, "7")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(opened: Opened, scheme: str) -> None:
    page = opened(
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
        has_touch=True,
        is_mobile=True,
        device_scale_factor=2,
    )
    draw(page, "3")
    expect_text(page, "3")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for button in page.locator("button:visible, .button:visible").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["x"] + box["width"] <= 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(15, 17, 22)") == (scheme == "dark")


def test_a_finger_draws_and_does_not_scroll(opened: Opened) -> None:
    page = opened(viewport={"width": 360, "height": 500}, has_touch=True, is_mobile=True)
    area = page.locator("#pad").bounding_box()
    assert area
    session = page.context.new_cdp_session(page)
    for kind, part in [("touchStart", 0.9), *(("touchMove", 0.9 - 0.08 * step) for step in range(1, 11))]:
        place = {"x": area["x"] + area["width"] / 2, "y": area["y"] + area["height"] * part}
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect_text(page, "1")
    assert page.evaluate("scrollY") == 0


def test_a_refused_request_is_sent_again(opened: Opened) -> None:
    page = opened()
    refusals = [{"status": 429, "headers": {"retry-after": "0"}, "json": {"error": "too many"}}]
    page.route("**/predict*", lambda route: route.fulfill(**refusals.pop()) if refusals else route.continue_())
    draw(page, "7")
    expect_text(page, "7")
    assert not refusals
