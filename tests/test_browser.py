"Test the explorer in a real browser: in JupyterLab, and on the page of `make app`."
import os
import re

import cv2
import numpy as np
import psutil
import pytest
from browser import app, chromium, explorer, halves, lab, move, notebooks, run_explorer, server, upload
from conftest import CLIP, ROOT, until

from bgblur.pipeline import Blurrer

IMAGE = ROOT/'sample_data'/'training'/'images'/'012.jpg'


def different(a, b): return cv2.absdiff(a, b).mean() > 2


def drag(page, canvas, start, end):
    "Drag the divider between two positions, both in [0,1] of the width."
    area = canvas.bounding_box()
    y = area['y'] + area['height']/2
    page.mouse.move(area['x'] + start*area['width'], y)
    page.mouse.down()
    page.mouse.move(area['x'] + end*area['width'], y, steps=5)
    page.mouse.up()


def shows_frame(box, text):
    "Tell whether the player shows the frame with this number."
    return box.locator('.place').inner_text().startswith(text)


def heights(box, kind):
    "Return the heights of the bars of the flicker strip."
    return box.locator(f'.cell .{kind}').evaluate_all('bars => bars.map(b => parseFloat(b.style.height))')


def test_explorer_in_jupyterlab(tmp_path):
    with lab(notebooks(tmp_path)) as (_, url), chromium() as page:
        errors = run_explorer(page, url)
        assert page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
        box, canvas = explorer(page)
        button = lambda name: box.get_by_role('button', name=name, exact=True)     # noqa: E731
        # the strip: one bar per frame, and with the default settings both kinds of bar are equal
        assert len(heights(box, 'now')) == 60 and heights(box, 'now') == heights(box, 'before')
        # play: the frames go on by themselves, and stop
        assert shows_frame(box, '31 / 60')
        button('Play').click()
        until(lambda: not shows_frame(box, '31 / 60'))
        button('Pause').click()
        # another background and another edge, then back
        before = halves(canvas)[1]
        box.get_by_role('radio', name='Green screen').check(force=True)
        until(lambda: different(halves(canvas)[1], before))
        button('Undo').click()
        until(lambda: not different(halves(canvas)[1], before))
        # a setting that acts only in time moves the bars
        box.get_by_text('Advanced').click()
        move(box, 'hold', 'Home', 1)
        until(lambda: heights(box, 'now') != heights(box, 'before'))
        # A/B: the kept result on the right of the divider, the new one on the left
        button('Reset').click()
        button('Keep as B').click()
        until(lambda: 'A' in box.locator('.label').all_inner_texts())
        move(box, 'strength', 'End', 1)
        until(lambda: different(halves(canvas)[0], cv2.resize(before, halves(canvas)[0].shape[1::-1])))
        # the weakest blur changes nothing, so the left half is the frame itself
        drag(page, canvas, .5, .99)
        move(box, 'strength', 'Home', 1)
        button('Before/after').click()
        drag(page, canvas, .99, .01)
        weak = halves(canvas)
        drag(page, canvas, .01, .99)
        until(lambda: not any(different(a, b) for a, b in zip(halves(canvas), weak)))
        button('Copy Python').click()
        box.get_by_text('Copied').or_(box.locator('textarea')).first.wait_for()
        assert errors == []


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    "Start the page of `make app`. Yield its process, its address and its folder for temporary files."
    tmp = tmp_path_factory.mktemp('tmp')
    with app(TMPDIR=tmp) as (process, url): yield process, url, tmp


def open_page(page, url):
    "Open the page. Return a list that collects the errors of its console."
    errors = []
    page.on('console', lambda m: errors.append(m.text) if m.type == 'error' else None)
    page.goto(url)
    page.get_by_role('button', name='Image or video').wait_for(timeout=180_000)
    return errors


def download_result(page, folder):
    "Make the result, download it to `folder`, and return its path."
    page.get_by_role('button', name='Make the result').click()
    link = page.locator('a.bgblur-download')
    link.wait_for(timeout=180_000)
    with page.expect_download() as download: link.click()
    path = folder/download.value.suggested_filename
    download.value.save_as(path)
    return path


def is_kernel(process):
    try: return 'ipykernel' in ' '.join(process.cmdline())
    except psutil.Error: return False    # it has just exited


def kernels(process): return [c for c in psutil.Process(process.pid).children(recursive=True) if is_kernel(c)]


def test_page_blurs_an_image_and_keeps_nothing(served, tmp_path):
    process, url, tmp = served
    with chromium() as page:
        errors = open_page(page, url)
        upload(page, IMAGE)
        page.locator('canvas').wait_for(timeout=180_000)
        out = download_result(page, tmp_path)
        assert out.name == '012-blurred.jpg'
        assert cv2.absdiff(cv2.imread(str(out)), Blurrer()(cv2.imread(str(IMAGE)))).mean() < 2
        assert list(tmp.glob('bgblur-*')) == [] and len(kernels(process)) == 1
        assert errors == []
        page.close()
        until(lambda: not kernels(process), 'the kernel of a closed page is still running')


def test_page_accepts_a_video_and_refuses_with_a_sentence(served, tmp_path):
    with chromium() as page:
        open_page(page, served[1])
        bad = tmp_path/'me.jpg'
        bad.write_text('hello')
        upload(page, bad)
        page.get_by_text(re.compile(r'^me\.jpg is not .*JPEG')).wait_for(timeout=180_000)
        large = tmp_path/'large.mp4'    # a server that received this would close the connection
        large.touch()
        os.truncate(large, 10**9)
        upload(page, large)
        page.get_by_text('large.mp4 has 1000 MB. Choose a file of at most 30 MB.').wait_for(timeout=180_000)
        large = tmp_path/'large.bmp'    # more than the 10 MB that a message may have by default
        cv2.imwrite(str(large), np.zeros((2000, 4000, 3), np.uint8))
        upload(page, large)
        page.get_by_text('large.bmp', exact=True).wait_for(timeout=180_000)
        upload(page, CLIP)
        page.locator('canvas').wait_for(timeout=180_000)
        out = download_result(page, tmp_path)
        assert out.name == 'testclip-blurred.mp4' and cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FRAME_COUNT) == 250


def test_page_is_for_this_computer_only(served):
    process, url, _ = served
    listening = [c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == 'LISTEN' and str(c.laddr.port) in url]
    assert listening == ['127.0.0.1']


def test_page_prints_its_address_and_nothing_else(tmp_path):
    with open(tmp_path/'out', 'w+') as out, app(output=out) as (process, url), chromium() as page:
        open_page(page, url)
        lines = (tmp_path/'out').read_text().splitlines()
    assert len(lines) == 1 and url in lines[0]


@pytest.mark.skipif(os.name != 'posix', reason='needs make')
def test_make_lab_starts_at_the_top(tmp_path):
    "JupyterLab starts in the project's top folder, because notebooks show files from sample_data/. It also runs as root."
    with server(['make', '-C', ROOT, 'lab', 'ARGS=--no-browser --ip=127.0.0.1 --IdentityProvider.token= --port=']) as (_, url), chromium() as page:
        page.goto(url)
        page.wait_for_url('**/lab/tree/nbs/index.ipynb', timeout=180_000)
        assert page.evaluate('async () => (await fetch("/files/sample_data/testclip.mp4")).status') == 200
