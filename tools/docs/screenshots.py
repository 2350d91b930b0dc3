"""Take screenshots of the explorer in JupyterLab, of the page, and of the live view: python tools/docs/screenshots.py [NAME ...]

This writes explorer-420.jpg, explorer-900.jpg, explorer-1400.jpg, app-420.jpg, app-900.jpg, app-1400.jpg, live-widget.jpg and live-window.jpg to nbs/images, or only the named ones, such as
`app`. It needs Debian's chromium, xvfb and xdotool.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT/'tests'))
from browser import SHOW_CELL, app, chromium, explorer, lab, move, notebooks, open_page, run_cell, run_explorer, upload  # noqa: E402
from live_view import display, live_notebook, live_widget  # noqa: E402


def save(name, png, width=900):
    "Write a PNG to nbs/images as a JPEG of at most `width` pixels."
    img = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    k = min(1, width/img.shape[1])
    img = cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(ROOT/'nbs'/'images'/f'{name}.jpg'), img, [cv2.IMWRITE_JPEG_QUALITY, 85])


def in_lab():
    "Take screenshots of the explorer in JupyterLab at three widths."
    with tempfile.TemporaryDirectory() as tmp, lab(notebooks(Path(tmp))) as (_, url):
        # the cell around the explorer takes the rest
        for width, around, height in ((420, 116, 1080), (900, 180, 1050), (1400, 180, 1050)):
            with chromium(width + around, height) as page:
                run_explorer(page, url)
                box, _ = explorer(page)
                box.get_by_role('radio', name='Lens blur').check(force=True)
                move(box, 'strength', times=3)
                box.get_by_text('Advanced').click()
                move(box, 'hold', 'Home', 1)      # the strip shows both settings
                box.locator('.bgblur-right').evaluate('e => e.scrollTo(0, 0)')
                box.get_by_role('button', name='Keep as B').scroll_into_view_if_needed()
                page.wait_for_timeout(5000)
                page.evaluate(SHOW_CELL, 'from bgblur')
                page.wait_for_timeout(1000)
                save(f'explorer-{width}', box.screenshot(), 1000)


def as_page():
    "Take screenshots of the page of `bgblur app` at three widths, while a result plays."
    with app() as (_, url):
        for width, height in ((420, 1150), (900, 900), (1400, 1000)):
            with chromium(width, height) as page:
                open_page(page, url)
                upload(page, ROOT/'sample_data'/'testclip.mp4', ROOT/'sample_data'/'training'/'images'/'012.jpg')
                page.wait_for_function("() => document.querySelector('[data-part=after]').naturalWidth > 0", timeout=60_000)
                page.get_by_label('Blur like a camera lens').check()
                page.get_by_role('button', name='Blur 2 files').click()
                page.locator('li a').nth(1).wait_for(timeout=180_000)
                page.get_by_role('button', name='testclip.mp4', exact=True).click()
                page.locator('video').evaluate('v => { v.muted = true; v.currentTime = 4; return v.play(); }')
                page.locator('video').hover()      # shows its controls
                page.wait_for_timeout(1500)
                page.evaluate('window.scrollTo(0, 0)')
                save(f'app-{width}', page.screenshot(), min(width, 1100))


def live_in_lab():
    "Take a screenshot of the live widget in JupyterLab."
    clip, imgs = cv2.VideoCapture(str(ROOT/'sample_data'/'testclip.mp4')), []
    while (img := clip.read()[1]) is not None: imgs.append(img)
    with tempfile.TemporaryDirectory() as tmp, live_notebook(Path(tmp), imgs, 1000, 700) as page:
        page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
        run_cell(page, 1)
        live_widget(page, 0)
        page.wait_for_timeout(6000)
        save('live-widget', page.screenshot(clip={'x': 40, 'y': 160, 'width': 920, 'height': 490}))


def live_in_window():
    "Take a screenshot of the live window on a virtual display."
    with tempfile.TemporaryDirectory() as tmp, display(Path(tmp)) as (name, screenshot):
        env = os.environ | {'DISPLAY': name}
        live = subprocess.Popen([Path(sys.executable).parent/'bgblur', 'live', '--source', ROOT/'sample_data'/'testclip.mp4', '--size', '640x480', '--no-remember'], env=env)
        for keys in (['sleep', '6'], ['search', '--name', '^bgblur$', 'windowfocus'], ['key', 'h'], ['sleep', '2']):
            subprocess.run(['xdotool', *keys], env=env, check=True)
        save('live-window', cv2.imencode('.png', screenshot()[:480, :640])[1].tobytes())
        live.terminate()
        live.wait()


SCREENSHOTS = {'explorer': in_lab, 'app': as_page, 'live-widget': live_in_lab, 'live-window': live_in_window}

if __name__ == '__main__':
    names = sys.argv[1:] or [*SCREENSHOTS]
    if unknown := {*names} - {*SCREENSHOTS}: sys.exit(f"There is no screenshot {', '.join(sorted(unknown))}. Use {', '.join(SCREENSHOTS)}.")
    for name in names: SCREENSHOTS[name]()
