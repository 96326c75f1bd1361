"""Draw the icons of the app from the favicon: ``python -m checks.browser.icons``.

The one that is cut to a shape, and Apple's, which has no transparency, have the colour
of the manifest behind them.
"""

import json
from typing import Final

from playwright.sync_api import Browser

from checks.browser.kit import chromium
from pyglue.paths import share

STATIC: Final = share() / "web" / "static"
ICONS: Final = {
    "icon-192.png": (192, 1.0, False),
    "icon-512.png": (512, 1.0, False),
    "icon-maskable-512.png": (512, 0.62, True),
    "apple-touch-icon.png": (180, 0.72, True),
}
"""The pixels of each, how much of them is the drawing, and whether it is opaque."""


def draw(browser: Browser) -> None:
    """Write every icon."""
    manifest = json.loads((STATIC / "manifest.webmanifest").read_text())
    drawing = (STATIC / "favicon.svg").read_text()
    for name, (size, part, is_opaque) in ICONS.items():
        page = browser.new_page(viewport={"width": size, "height": size})
        behind = manifest["background_color"] if is_opaque else "transparent"
        inner = round(size * part)
        page.set_content(
            f"<style>body {{ margin: 0; height: 100vh; display: grid; "
            f"place-items: center; background: {behind} }} "
            f"svg {{ width: {inner}px; height: {inner}px }}</style>{drawing}"
        )
        page.screenshot(path=STATIC / name, omit_background=True)
        page.close()


if __name__ == "__main__":
    with chromium() as running:
        draw(running)
