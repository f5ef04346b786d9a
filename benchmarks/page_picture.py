"""The picture of the server's page in docs/serving.md, taken in headless Chromium.

    uniperceiver serve --model runs/demo --port 8000 &
    python benchmarks/page_picture.py http://127.0.0.1:8000 scene.png docs/images/page.png --labels "dog, car"

The picture that is asked about is the caller's; the second object found is pointed out.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SIZE = {"width": 1240, "height": 720}
COLOURS = 200
"""Of the palette: keeps the file below 300 kB."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("picture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", default="")
    parser.add_argument("--threshold", type=int, default=30, help="In percent.")
    given = parser.parse_args()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.goto(given.address)
        page.locator("input[name=verb]:checked").wait_for(state="attached")
        page.set_input_files("#file", given.picture)
        page.fill("#labels", given.labels)
        page.evaluate(f"document.getElementById('threshold').value = {given.threshold}")
        page.dispatch_event("#threshold", "input")
        page.click("#ask")
        page.locator("#status", has_text="Answered").wait_for()
        page.locator("#results button.row").nth(1).hover()
        taken = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    taken.convert("RGB").quantize(COLOURS).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
