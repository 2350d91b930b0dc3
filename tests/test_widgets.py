"Test the widgets of ui/canvas, ui/pixels and ui/review in a real browser."
import shutil

import cv2
import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, lab, run_cell
from conftest import CLIP, until
from widget_bridge import Shown

from bgblur.ui.canvas import Canvas
from bgblur.ui.label import Label
from bgblur.ui.review import Review
from bgblur.ui.show import jpeg


def a_label(name):
    "Return a label of 320x180 pixels whose person is a disc."
    y, x = np.mgrid[:180, :320]
    disc = np.float32((x - 160)**2 + (y - 90)**2 < 40**2)
    return Label(name, np.full((180, 320, 3), 200, np.uint8), disc)


@pytest.fixture(scope='module')
def browser():
    with chromium() as page: yield page.context.browser


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={'width': 900, 'height': 800})
    yield page
    page.close()


@pytest.fixture
def review(page):
    shown = Shown(page, Review([a_label(f'label-{i}') for i in range(4)]))
    shown.settle()
    yield shown
    assert shown.errors == []


def press(shown, *keys):
    for key in keys:
        shown.page.keyboard.press(key)
        shown.settle()


def drag(shown, start, end, button='left'):
    "Drag the mouse between two pixels of the canvas."
    mouse = shown.page.mouse
    mouse.move(*shown.pixel(*start))
    mouse.down(button=button)
    mouse.move(*shown.pixel(*end), steps=4)
    mouse.up(button=button)
    shown.settle()


def test_review_has_a_key_for_each_action(review):
    labels = review.widget.labels
    review.page.locator('canvas').focus()
    press(review, 'd', 'K', 'n')
    assert [l.keep for l in labels] == [False, True, True, True] and review.widget.i == 3
    press(review, 'ArrowRight', 'p')
    assert review.widget.i == 2
    drag(review, (20, 20), (60, 20))
    assert labels[2].mask[20, 40] == 1
    press(review, 'u')
    assert labels[2].strokes == []
    # the folder takes letters as text, and a slider uses the arrows for itself
    field = review.page.get_by_label('Folder')
    field.press_sequentially('dknp')
    review.page.get_by_label('Threshold').focus()
    press(review, 'ArrowRight')
    assert field.input_value() == 'dknp'
    assert review.widget.i == 2 and labels[2].keep and labels[2].threshold == .55 and labels[1].threshold == .5


def test_right_button_erases_and_only_the_canvas_has_no_menu(review):
    label = review.widget.labels[0]
    drag(review, (140, 90), (180, 90), 'right')
    assert label.mask[90, 160] == 0 and label.mask[60, 160] == 1
    prevented = '''selector => !document.querySelector(selector).dispatchEvent(new MouseEvent('contextmenu',
        { bubbles: true, cancelable: true }))'''
    assert review.page.evaluate(prevented, 'canvas') and not review.page.evaluate(prevented, '.strip')
    # the toggle lets the left button erase, too
    press(review, 'e')
    assert review.page.get_by_role('button', name='Erase').get_attribute('aria-pressed') == 'true'
    drag(review, (140, 60), (180, 60))
    assert label.mask[60, 160] == 0


def test_strokes_hit_their_pixels_when_zoomed(review):
    canvas, label = review.page.locator('canvas'), review.widget.labels[0]
    size = canvas.bounding_box()['width']
    review.page.get_by_role('button', name='Keep').focus()
    press(review, '+', '+')
    review.page.mouse.move(*review.pixel(100, 90))
    review.page.keyboard.down('Control')
    review.page.mouse.wheel(0, -100)
    review.page.keyboard.up('Control')
    until(lambda: canvas.bounding_box()['width'] > 1.9*size)
    # the enlarged canvas covers nothing else
    button = review.page.get_by_role('button', name='Next').bounding_box()
    assert review.page.evaluate('([x, y]) => document.elementFromPoint(x, y).tagName', [button['x'] + 9, button['y'] + 9]) == 'BUTTON'
    drag(review, (90, 60), (110, 60))
    assert label.mask[60, 100] == 1 and label.mask[75, 100] == 0
    before = review.pixel(100, 60)
    review.page.keyboard.down('Shift')
    drag(review, (150, 90), (140, 90))
    review.page.keyboard.up('Shift')
    assert review.pixel(100, 60)[0] < before[0] - 5 and len(label.strokes) == 1
    review.page.get_by_role('button', name='Keep').focus()
    press(review, '0')
    assert canvas.bounding_box()['width'] == size


def test_strip_shows_states_and_goes_to_a_label(review):
    def strip(): return [(b.get_attribute('aria-label'), b.get_attribute('aria-current')) for b in review.page.locator('.strip button').all()]
    review.page.get_by_role('button', name='Drop').click()
    review.settle()
    assert strip() == [('label-0, dropped', 'false'), ('label-1, kept', 'true'), ('label-2, kept', 'false'), ('label-3, kept', 'false')]
    review.page.get_by_role('button', name='label-3').click()
    review.settle()
    assert review.widget.i == 3 and strip()[3][1] == 'true'
    # a box keeps the focus while another label appears
    review.page.get_by_label('Fill holes').uncheck()
    press(review, 'p')
    assert not review.widget.labels[3].fill and review.page.get_by_label('Fill holes').is_checked()


def test_a_key_pressed_too_early_is_for_the_label_on_the_screen(review):
    "Python is busy, so the second key comes before the second image."
    review.page.locator('canvas').focus()
    for _ in range(2): review.page.keyboard.press('d')
    review.settle()
    assert [l.keep for l in review.widget.labels] == [False, True, True, True]


def test_save_says_what_happened(review, tmp_path):
    def save(folder):
        review.page.get_by_label('Folder').fill(str(folder))
        review.page.get_by_label('Folder').press('Enter')
        review.settle()
    save('')
    assert review.page.get_by_role('alert').text_content() == 'Enter a folder for the images and masks.'
    red = review.page.get_by_role('alert').evaluate('e => getComputedStyle(e).color')
    assert red == 'rgb(198, 40, 40)'
    save(tmp_path/'mine')
    assert review.page.get_by_text(f'4 labels are saved in {tmp_path}/mine.').get_attribute('role') == 'status'
    assert len([*(tmp_path/'mine'/'masks').iterdir()]) == 4
    save(tmp_path/'mine')
    assert 'already exists' in review.page.get_by_role('alert').text_content()
    for l in review.widget.labels: l.keep = False
    save(tmp_path/'other')
    assert 'nothing to save' in review.page.get_by_role('alert').text_content()


def test_axe_finds_no_serious_violation(review):
    for name in ('Drop', 'Erase', 'Save kept labels'):
        review.page.get_by_role('button', name=name).click()
        review.settle()
    found = Axe().run(review.page).response['violations']
    assert [v['id'] for v in found if v['impact'] in ('serious', 'critical')] == []


def test_cross_follows_mouse_and_arrows(page):
    shown = Shown(page, Canvas(image=jpeg(np.zeros((180, 320, 3), np.uint8)), cursor=[5, 6], divider=.5))
    shown.settle()
    page.mouse.click(*shown.pixel(100, 50))
    shown.settle()
    assert shown.widget.cursor == [100, 50]
    press(shown, 'ArrowRight', 'ArrowDown', 'Shift+ArrowLeft')
    assert shown.widget.cursor == [91, 51]
    # a mouse that moves fast sends only its last position
    page.clock.install(time='2026-01-01')
    page.clock.pause_at('2026-01-02')
    for x in range(30): page.mouse.move(*shown.pixel(100 + x, 60))
    page.clock.run_for(50)
    hovers = [m['state']['hover'] for m in page.evaluate('toPython()')]
    assert hovers == [{'x': 129, 'y': 60}]
    page.mouse.move(890, 790)
    page.clock.run_for(50)
    shown.sync()
    assert shown.widget.hover == {} and shown.errors == []


def test_arrows_move_the_divider(page):
    img = jpeg(np.zeros((180, 320, 3), np.uint8))
    shown = Shown(page, Canvas(image=img, over=img, divider=.5))
    shown.settle()
    page.mouse.move(*shown.pixel(100, 50))    # without a cross, the canvas reports no pixel
    page.locator('canvas').focus()
    press(shown, 'ArrowRight', 'ArrowRight')
    assert shown.widget.divider == pytest.approx(.54) and shown.widget.hover == {} and shown.errors == []


CELLS = ['''import cv2
from bgblur.predict import load_segmenter
from bgblur.ui.pixels import PixelExplorer
frame = cv2.VideoCapture('testclip.mp4').read()[1]
pixel = PixelExplorer(load_segmenter(), frame)
pixel''', '''from bgblur.ui.label import Label
from bgblur.ui.review import Review
review = Review([Label(f'label-{i}', frame, pixel.probs[..., 1]) for i in range(3)])
review''']


def test_pixels_and_review_in_jupyterlab(page, tmp_path):
    "Hover and click reach the real kernel, and JupyterLab's own keys do nothing to the cell."
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    nb.metadata.kernelspec = {'name': 'python3', 'display_name': 'python3', 'language': 'python'}
    nbformat.write(nb, tmp_path/'widgets.ipynb')
    shutil.copy(CLIP, tmp_path)
    page.set_viewport_size({'width': 1300, 'height': 1500})
    with lab(tmp_path) as (_, url):
        errors = []
        page.on('pageerror', lambda e: errors.append(str(e)))
        page.goto(f'{url}/tree/widgets.ipynb')
        page.wait_for_function('() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === "idle"', timeout=240_000)
        run_cell(page, 0)
        canvas = page.locator('canvas').first
        canvas.wait_for(timeout=180_000)
        box = canvas.bounding_box()
        page.mouse.move(box['x'] + box['width']*.5, box['y'] + box['height']*.8)
        page.get_by_text('under the mouse').wait_for(timeout=60_000)
        assert page.locator('.bgblur-bars tr').count() == 2 and page.locator('.bgblur-near img').count() == 2
        page.mouse.click(box['x'] + 5, box['y'] + 5)
        page.mouse.move(box['x'] + 5, box['y'] + box['height'] + 40)
        page.get_by_text('chosen').wait_for(timeout=60_000)
        before = page.locator('.bgblur-near').first.locator('xpath=..').text_content()
        for key in ('b', 'Shift+ArrowRight'): page.keyboard.press(key)
        until(lambda: page.locator('.bgblur-near').first.locator('xpath=..').text_content() != before)
        run_cell(page, 1)
        page.locator('.bgblur-review').wait_for(timeout=180_000)
        page.get_by_role('button', name='Undo stroke').focus()
        # JupyterLab inserts a cell at B, cuts one at X, and deletes one at the second D
        for key in 'bxdd': page.keyboard.press(key)
        page.locator('.strip .dropped').first.wait_for(timeout=60_000)
        assert page.locator('.jp-CodeCell').count() == 2 and errors == []
