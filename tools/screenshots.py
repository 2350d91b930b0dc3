"""Take the pictures of the explorer, in JupyterLab and as a page: python tools/screenshots.py

Writes nbs/images/explorer.jpg and nbs/images/app.jpg. Needs Debian's chromium.
"""
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT/'tests'))
from browser import SHOW_CELL, app, chromium, explorer, lab, move, notebooks, run_explorer, upload  # noqa: E402


def save(name, png, width=900):
    img = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    k = min(1, width/img.shape[1])
    img = cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(ROOT/'nbs'/'images'/f'{name}.jpg'), img, [cv2.IMWRITE_JPEG_QUALITY, 85])


def in_lab():
    with tempfile.TemporaryDirectory() as tmp, lab(notebooks(Path(tmp))) as (_, url), chromium(1240, 1060) as page:
        run_explorer(page, url)
        page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
        box, _ = explorer(page)
        box.locator('select').first.select_option('refined')
        move(box, 'frame', times=25)
        move(box, 'strength', times=5)
        box.get_by_role('button', name='Python').click()
        page.wait_for_timeout(2000)
        page.evaluate(SHOW_CELL, 'ex = explore(clip)')
        page.wait_for_timeout(1000)
        save('explorer', page.screenshot())


def as_page():
    with app() as (_, url), chromium(1240, 860) as page:
        page.goto(url)
        upload(page, ROOT/'sample_data'/'testclip.mp4')
        page.locator('canvas').wait_for(timeout=60_000)
        page.get_by_role('button', name='Make the result').click()
        page.locator('a.bgblur-download').wait_for(timeout=120_000)
        page.wait_for_timeout(1000)
        save('app', page.screenshot())


if __name__ == '__main__':
    in_lab()
    as_page()
