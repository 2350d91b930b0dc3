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


def shows_frame(box, text):
    "Tell whether the player shows the frame with this number."
    return box.locator('.place').inner_text().startswith(text)


def is_in_view(text):
    "Wait for a text, and tell whether it is on the screen, not cut off by a box around it."
    text.wait_for()
    return text.evaluate("""e => {
        const r = e.getBoundingClientRect();
        return e.contains(document.elementFromPoint(r.x + 9, r.y + r.height/2));
    }""")


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
        until(lambda: 'A: now' in box.locator('.label').all_inner_texts())
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
        # a click beside all people changes nothing, and the sentence and what Render reports stay in view
        canvas.click(position={'x': 20, 'y': 60})
        assert is_in_view(box.get_by_text('There is no person at this place'))
        box.get_by_label('save as').fill('nowhere/x.mp4')
        button('Render').click()
        assert is_in_view(box.get_by_text("The folder 'nowhere'"))
        assert errors == []


@pytest.mark.skipif(os.name != 'posix', reason='needs make')
def test_make_lab_starts_at_the_top(tmp_path):
    "JupyterLab starts in the project's top folder, because notebooks show files from sample_data/. It also runs as root."
    with server(['make', '-C', ROOT, 'lab', 'ARGS=--no-browser --ip=127.0.0.1 --IdentityProvider.token= --port=']) as (_, url), chromium() as page:
        page.goto(url)
        page.wait_for_url('**/lab/tree/nbs/index.ipynb', timeout=180_000)
        assert page.evaluate('async () => (await fetch("/files/sample_data/testclip.mp4")).status') == 200
