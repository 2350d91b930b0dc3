"Test the explorer in JupyterLab, in a real browser."
import os

import cv2
import pytest
from browser import chromium, explorer, halves, lab, move, notebooks, run_explorer, server
from conftest import ROOT, until


def different(a, b): return cv2.absdiff(a, b).mean() > 2


def drag(page, canvas, start, end):
    "Drag the divider between two positions, both in [0,1] of the width."
    area = canvas.bounding_box()
    y = area['y'] + area['height']/2
    page.mouse.move(area['x'] + start*area['width'], y)
    page.mouse.down()
    page.mouse.move(area['x'] + end*area['width'], y, steps=5)
    page.mouse.up()


def test_explorer_in_jupyterlab(tmp_path):
    with lab(notebooks(tmp_path)) as (_, url), chromium() as page:
        run_explorer(page, url)
        assert page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
        box, canvas = explorer(page)
        before, after = halves(canvas)
        move(box, 'frame')
        until(lambda: different(halves(canvas)[0], before) and different(halves(canvas)[1], after))
        # divider at the right end: only the frame; at the left end: only the result, with a blurred map
        drag(page, canvas, .25, .99)
        before = halves(canvas)[0]
        drag(page, canvas, .99, .01)
        until(lambda: different(halves(canvas)[0], before))
        # the weakest blur changes nothing, so the map is sharp again
        move(box, 'strength', 'Home', 1)
        until(lambda: not different(halves(canvas)[0], before))
        box.get_by_role('button', name='Python').click()
        until(lambda: 'strength=1)' in box.locator('textarea').input_value())


@pytest.mark.skipif(os.name != 'posix', reason='needs make')
def test_make_lab_starts_at_the_top(tmp_path):
    "JupyterLab starts in the project's top folder, because notebooks show files from sample_data/. It also runs as root."
    with server(['make', '-C', ROOT, 'lab', 'ARGS=--no-browser --ip=127.0.0.1 --IdentityProvider.token= --port=']) as (_, url), chromium() as page:
        page.goto(url)
        page.wait_for_url('**/lab/tree/nbs/index.ipynb', timeout=180_000)
        assert page.evaluate('async () => (await fetch("/files/sample_data/testclip.mp4")).status') == 200
