"""The page in headless Chromium: with the mouse, with the keyboard, on a phone."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn

from uniperceiver import Predictor
from uniperceiver.serve.api import create_app
from uniperceiver.serve.limits import Limits

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@pytest.fixture
def address(predictor: Predictor) -> Iterator[str]:
    config = uvicorn.Config(create_app(predictor, "tiny", Limits()), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """The page, opened; at the end nothing outside was asked for and nothing was logged as an error."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.wait_for_selector("input[name=verb]:checked", state="attached")
        yield page
        assert all(url.startswith((address, "blob:")) for url in asked), asked
        assert not wrong
        browser.close()


@pytest.fixture
def picture(photo: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    return path


def test_objects_are_found_and_pointed_out(page: Page, picture: Path) -> None:
    page.set_input_files("#file", picture)
    page.fill("#labels", "cat, red car")
    page.evaluate("document.getElementById('threshold').value = 0")
    page.click("#ask")
    page.wait_for_selector("#results button.row")
    rows = page.locator("#results button.row")
    assert page.locator("#boxes rect").count() == rows.count() > 1
    assert rows.first.locator(".name").inner_text() in ("cat", "red car")
    assert "%" in rows.first.inner_text()
    rows.nth(1).hover()
    assert page.locator("#boxes rect.chosen").count() == 1
    assert page.locator("#boxes rect.dim").count() == rows.count() - 1
    page.mouse.move(1, 1)
    assert page.locator("#boxes rect.dim").count() == 0
    assert "Answered" in page.inner_text("#status")


def test_every_verb_answers(page: Page, picture: Path) -> None:
    page.set_input_files("#file", picture)
    fields = {"texts": "a red car\ntwo dogs, running", "question": "how many ?", "blanks": "a [MASK] car"}
    for verb in ("classify", "caption", "answer", "match", "fill_mask"):
        page.check(f"input[name=verb][value={verb}]", force=True)
        for name, text in fields.items():
            if page.is_visible(f"#{name}"):
                page.fill(f"#{name}", text)
        page.click("#ask")
        page.locator("#status", has_text="Answered").wait_for()
        assert page.locator("#results .row, #results .sentence").count() >= 1


def test_the_keyboard_is_enough(page: Page, picture: Path) -> None:
    page.set_input_files("#file", picture)
    page.focus("input[name=verb]:checked")
    page.keyboard.press("ArrowRight")
    assert page.locator("input[name=verb]:checked").get_attribute("value") == "classify"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "labels"
    page.keyboard.type("dog, tree")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .row")
    assert set(page.locator("#results .name").all_inner_texts()) == {"dog", "tree"}


def test_every_field_has_a_label(page: Page) -> None:
    unlabelled = page.evaluate(
        "[...document.querySelectorAll('input, textarea')].filter(x => !x.labels.length).map(x => x.outerHTML)"
    )
    assert unlabelled == []


def test_a_phone_is_wide_enough(page: Page, picture: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.set_input_files("#file", picture)
    page.click("#ask")
    page.locator("#status", has_text="Answered").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_mistakes_are_said(page: Page, tmp_path: Path) -> None:
    page.click("#ask")
    assert "Choose a picture first" in page.inner_text("#status")
    (tmp_path / "no.txt").write_text("text")
    page.set_input_files("#file", tmp_path / "no.txt")
    assert "not a picture" in page.inner_text("#status")


def test_the_interface_is_described(page: Page, address: str) -> None:
    page.goto(f"{address}docs")
    page.wait_for_selector("section")
    assert "/v1/detect" in page.inner_text("main")
    assert "threshold" in page.inner_text("main")
