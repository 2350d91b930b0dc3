"The player and the background picker in Chromium: drawing, mouse, keys, messages, and what is left of a view that was removed."
import cv2
import numpy as np
import pytest
from browser import chromium
from widget_page import receive, send, shown

from bgblur.core.errors import BgblurError
from bgblur.ui.layout import copy_button
from bgblur.ui.modes import LAYERS, MODES
from bgblur.ui.picker import BackgroundPicker
from bgblur.ui.player import Player
from bgblur.ui.show import jpeg

RED, GREEN, BLUE = (0, 0, 200), (0, 200, 0), (200, 0, 0)
BROWSER_ORDER = slice(None, None, -1)


def plain(colour): return np.full((90, 160, 3), colour, np.uint8)


def player(layers=LAYERS, n=6, **kwargs):
    "Return a player with a red frame, a blue result, a green B, and alpha 1 in the left half. Odd frames are darker."
    alpha = np.zeros((90, 160), np.float32)
    alpha[:, :80] = 1
    images = {'frame': plain(RED), 'result': plain(BLUE), 'alpha': cv2.merge([np.uint8(255*alpha)]*3), 'other': plain(GREEN)}
    p = Player(n=n, rate=25, strip=[.01*i for i in range(n)], runs=[i % 2 == 0 for i in range(n)], **kwargs)
    for layer in layers:
        for i in range(n): p.put(layer, i, jpeg(images[layer]//(1 + i % 2), 95))
    return p


def pixel(page, x, y=.3):
    "Return the pixel of the picture at shares of its width and height, as BGR."
    rgba = page.evaluate('''([x, y]) => { const c = document.querySelector('canvas.picture');
        return [...c.getContext('2d').getImageData(x*c.width, y*c.height, 1, 1).data]; }''', [x, y])
    return np.int32(rgba[:3])[BROWSER_ORDER]


def until_pixel(page, x, bgr):
    "Wait until the picture has this colour."
    page.wait_for_function('''([x, rgb]) => { const c = document.querySelector('canvas.picture');
        const seen = c.getContext('2d').getImageData(x*c.width, .3*c.height, 1, 1).data;
        return rgb.every((v, i) => Math.abs(v - seen[i]) < 12); }''', arg=[x, [int(v) for v in bgr[::-1]]])


def state(page, name): return page.evaluate('name => model.state[name]', name)


@pytest.fixture(scope='module')
def browser():
    with chromium() as page: yield page.context.browser


@pytest.fixture
def page(browser):
    p = player()
    with shown(browser, p) as page:
        send(page, p)
        until_pixel(page, .2, BLUE)
        yield page


def test_modes(page):
    # left and right of the divider in the middle
    expected = {'result': (BLUE, BLUE), 'before/after': (RED, BLUE), 'alpha': ((255,)*3, (0,)*3),
                'overlay': (np.float64(RED)*.4 + .6*np.float64([255, 190, 0]), RED), 'difference': ((255, 255, 0),)*2, 'A/B': (BLUE, GREEN)}
    page.locator('.bgblur-player').focus()
    for key, mode in enumerate(MODES, 1):
        page.keyboard.press(str(key))
        assert state(page, 'mode') == mode
        for x, bgr in zip((.2, .8), expected[mode]): until_pixel(page, x, bgr)
        pressed = page.locator('button[aria-pressed=true]').all_inner_texts()
        assert [t.lower() for t in pressed] == [mode.lower()]
    page.get_by_role('button', name='Before/after').click()
    until_pixel(page, .2, RED)


def test_divider_by_mouse_and_keyboard(page):
    page.keyboard.press('Tab')
    page.get_by_role('button', name='A/B').click()
    line, box = page.get_by_role('slider', name='Divider'), page.locator('.stage').bounding_box()
    until_pixel(page, .3, BLUE)
    line.hover()
    page.mouse.down()
    page.mouse.move(box['x'] + .1*box['width'], box['y'] + 20)
    page.mouse.up()
    until_pixel(page, .3, GREEN)
    assert state(page, 'divider') == pytest.approx(.1, abs=.01) and state(page, 'clicked') == {}
    line.press('End')
    until_pixel(page, .9, BLUE)
    line.press('ArrowLeft')
    assert state(page, 'divider') == pytest.approx(.98) and state(page, 'index') == 0
    page.locator('.divider[aria-valuenow="98"]').wait_for()


def test_missing_result_never_shows_the_frame(browser):
    p = player(['frame', 'alpha'])
    with shown(browser, p) as page:
        send(page, p)
        page.get_by_role('button', name='Before/after').click()
        until_pixel(page, .2, RED)
        page.get_by_role('button', name='Result', exact=True).click()
        until_pixel(page, .2, (119, 119, 119))
        assert page.get_by_role('button', name='A/B').is_disabled()
        page.keyboard.press('6')
        assert state(page, 'mode') == 'result'


def test_forgotten_result_stays_until_a_new_one_comes(page):
    receive(page, {'kind': 'forget', 'layer': 'result'})
    page.get_by_text('1 / 6 …').wait_for()
    until_pixel(page, .2, BLUE)
    receive(page, {'kind': 'put', 'layer': 'result', 'index': 0}, [jpeg(plain(GREEN))])
    until_pixel(page, .2, GREEN)
    page.get_by_text('1 / 6', exact=True).wait_for()


def test_late_image_does_not_replace_a_newer_one(page):
    large = cv2.resize(plain(RED), (6400, 3600))     # takes longer to decode
    for img in (large, plain(GREEN)): receive(page, {'kind': 'put', 'layer': 'result', 'index': 0}, [jpeg(img)])
    until_pixel(page, .2, GREEN)
    page.evaluate('async () => { for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame); }')
    until_pixel(page, .2, GREEN)


def test_frames_by_key_button_and_strip(page):
    root, strip = page.locator('.bgblur-player'), page.get_by_role('slider', name='Frame')
    root.press('ArrowRight')
    until_pixel(page, .2, np.int32(BLUE)//2)
    assert state(page, 'index') == 1
    root.press('ArrowLeft')
    root.press('ArrowLeft')
    assert state(page, 'index') == 0
    root.press('End')
    assert state(page, 'index') == 5
    root.press('Home')
    page.get_by_role('button', name='Next frame').click()
    box = strip.bounding_box()
    page.mouse.click(box['x'] + 4.5*box['width']/6, box['y'] + 20)
    assert state(page, 'index') == 4
    page.wait_for_function('() => document.querySelectorAll(".cell")[4].classList.contains("shown")')
    assert strip.get_attribute('aria-valuetext') == 'frame 5 of 6, change of alpha 4.00 %, the model ran'
    page.mouse.down()
    page.mouse.move(box['x'] + box['width'] + 50, box['y'])
    page.mouse.up()
    assert state(page, 'index') == 5
    heights = page.locator('.cell .now').evaluate_all('bars => bars.map(b => b.style.height)')
    assert heights == ['0%', '20%', '40%', '60%', '80%', '100%'] and page.locator('.cell .run').count() == 3


def test_loupe(page):
    page.locator('.bgblur-player').press('l')
    lens, box = page.locator('.lens'), page.locator('.picture').bounding_box()
    page.mouse.move(box['x'] + .5*box['width'], box['y'] + .5*box['height'])
    page.get_by_role('button', name='Alpha').click()
    until_pixel(page, .8, (0, 0, 0))
    page.mouse.move(box['x'] + .5*box['width'] + 10, box['y'] + .5*box['height'])
    # 10 CSS pixels right of the edge, so at zoom 4 the edge is 40 left of the middle
    column = '''c => { const { data } = c.getContext('2d').getImageData(0, c.height/2, c.width, 1);
        return [...Array(c.width).keys()].filter(i => data[4*i] < 128)[0] - c.width/2; }'''
    assert lens.evaluate(column) == pytest.approx(-40, abs=4*4 + 2)     # a pixel is 4 CSS pixels wide, and 16 in the lens
    page.get_by_role('button', name='The loupe magnifies').click()
    assert state(page, 'zoom') == 6
    before = lens.bounding_box()['x']
    page.keyboard.press('Shift+ArrowRight')
    assert lens.bounding_box()['x'] > before + 5 and state(page, 'index') == 0
    page.get_by_role('button', name='Loupe', exact=True).press(' ')     # presses the button, and doesn't play
    page.wait_for_function('() => document.querySelector(".lens").hidden')
    assert state(page, 'playing') is False


def test_click_chooses_a_place(page):
    box = page.locator('.picture').bounding_box()
    page.mouse.click(box['x'] + .25*box['width'], box['y'] + .75*box['height'])
    assert state(page, 'clicked') == {'x': pytest.approx(.25, abs=.01), 'y': pytest.approx(.75, abs=.01), 'id': 1}
    page.mouse.down()
    page.mouse.move(box['x'] + 100, box['y'] + 10)
    page.mouse.up()
    assert state(page, 'clicked')['id'] == 1


def test_play(page):
    page.evaluate('() => { model.set("rate", 50); window.seen = new Set(); }')
    page.evaluate('''() => { const note = () => { seen.add(document.querySelector('.shown').parentElement ?
        [...document.querySelectorAll('.cell')].findIndex(c => c.classList.contains('shown')) : -1);
        window.noting = requestAnimationFrame(note); }; note(); }''')
    page.locator('.bgblur-player').press(' ')
    page.get_by_role('button', name='Pause').wait_for()
    page.wait_for_function('() => seen.size === 6')
    page.evaluate('() => { model.saved = []; }')
    page.wait_for_function('() => model.saved.some(s => "index" in s)')     # once per second
    page.get_by_role('button', name='Pause').focus()
    page.keyboard.press(' ')
    page.get_by_role('button', name='Play').wait_for()
    shown_frame = page.evaluate('''() => [...document.querySelectorAll('.cell')].findIndex(c => c.classList.contains('shown'))''')
    assert state(page, 'index') == shown_frame and state(page, 'playing') is False


def test_full_screen(page):
    page.locator('.bgblur-player').press('f')
    page.wait_for_function('() => document.fullscreenElement?.className === "bgblur-player"')
    page.get_by_role('button', name='Full screen').click()
    page.wait_for_function('() => !document.fullscreenElement')


def test_second_view_and_removal(page):
    page.evaluate('async () => { window.removeSecond = await show("second"); }')
    assert [m['kind'] for m in page.evaluate('model.sent')] == ['ready', 'ready']
    receive(page, {'kind': 'put', 'layer': 'result', 'index': 0}, [jpeg(plain(GREEN))])
    second = page.locator('#second .picture')
    page.wait_for_function('() => document.querySelector("#second .picture").width === 160')
    assert second.get_attribute('aria-label') == 'result, frame 1 of 6, change of alpha 0.00 %, the model ran'
    page.locator('#second .bgblur-player').press('ArrowRight')
    page.wait_for_function('() => document.querySelectorAll(".cell.shown").length === 2 && document.querySelectorAll("#first .cell")[1].className.includes("shown")')
    page.evaluate('() => { model.set("playing", true); removeSecond(); remove(); }')
    assert page.evaluate('Object.values(model.listeners).flat().length') == 0
    page.evaluate('() => { model.saved = []; window.was = document.querySelector(".shown"); }')
    page.wait_for_timeout(1200)     # longer than a second, after which a playing view would save its frame
    assert page.evaluate('model.saved') == []


def test_narrow_and_single_image(browser):
    p = player(['frame', 'result', 'alpha'], n=1)
    with shown(browser, p, 420) as page:
        send(page, p)
        until_pixel(page, .2, BLUE)
        assert page.evaluate('document.documentElement.scrollWidth') <= 420
        assert not page.locator('.bars').is_visible() and not page.get_by_role('button', name='Play').is_visible()


def test_copy_button(browser):
    texts = iter(['bgblur video clip.mp4', BgblurError('The source has no frames.')])

    def text():
        value = next(texts)
        if isinstance(value, str): return value
        raise value

    button = copy_button('Copy the command', text)
    with shown(browser, button) as page:
        page.context.grant_permissions(['clipboard-read', 'clipboard-write'])
        button.send = lambda content: receive(page, content)

        def press():
            page.get_by_role('button').click()
            button._handle_custom_msg(page.evaluate('model.sent.pop()'), [])

        press()
        page.get_by_role('status').get_by_text('Copied').wait_for()
        assert page.evaluate('navigator.clipboard.readText()') == 'bgblur video clip.mp4'
        press()
        page.get_by_role('alert').get_by_text('The source has no frames.').wait_for()


@pytest.mark.parametrize('fallback, text', [(True, 'Copied'), (False, 'Press Ctrl+C to copy this text.')])
def test_copy_button_without_clipboard(browser, fallback, text):
    with shown(browser, copy_button('Copy', str)) as page:
        page.evaluate('''works => { Object.defineProperty(navigator, 'clipboard', { value: undefined });
            if (!works) document.execCommand = () => false; }''', fallback)
        page.get_by_role('button').click()
        receive(page, {'text': 'the text'})
        page.get_by_role('status').get_by_text(text).wait_for()
        assert page.get_by_label('Text to copy').count() == (0 if fallback else 1)


def test_picker(browser):
    picker = BackgroundPicker()
    with shown(browser, picker, 420) as page:
        page.get_by_role('radio', name='Blur', exact=True).focus()
        page.keyboard.press('ArrowRight')
        assert state(page, 'value') == 'lens'
        page.get_by_role('radio', name='Transparent').check()
        assert state(page, 'value') == 'none'
        page.get_by_label('Choose the colour').fill('#102030')
        page.wait_for_function('() => model.state.value === "#102030"')
        assert page.locator('.tile.chosen').inner_text() == 'Own colour'
        assert page.evaluate('document.documentElement.scrollWidth') <= 420
        assert all(page.locator('img.face').evaluate_all('images => images.map(i => i.naturalWidth === 160)'))


def test_picker_takes_a_file(browser, tmp_path):
    picker, data = BackgroundPicker({'blur': 'Blur'}), np.random.default_rng(0).bytes(9_000_000)
    (tmp_path/'me.png').write_bytes(data)
    with shown(browser, picker) as page:
        page.evaluate('''() => { window.pieces = []; model.send = (content, _, [piece]) => pieces.push([content, piece.byteLength,
            new Uint8Array(piece)[0]]); }''')
        with page.expect_file_chooser() as chooser: page.get_by_role('button', name='Own image or clip').click()
        chooser.value.set_files(tmp_path/'me.png')
        page.wait_for_function('() => pieces.length === 3')
        assert page.evaluate('pieces') == [[{'kind': 'file', 'name': 'me.png', 'size': len(data), 'at': at}, min(4_000_000, len(data) - at), data[at]]
                                           for at in (0, 4_000_000, 8_000_000)]
        page.evaluate('model.set("max_bytes", 1e6)')
        with page.expect_file_chooser() as chooser: page.get_by_role('button', name='Own image or clip').click()
        chooser.value.set_files(tmp_path/'me.png')
        page.get_by_role('alert').get_by_text('me.png is too large, 9 MB: choose a file below 1 MB.').wait_for()
