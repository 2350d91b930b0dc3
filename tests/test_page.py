"Test the page of `bgblur app` in a real browser."
import os
import shutil
import signal
import sys

import cv2
import numpy as np
import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import app, chromium, open_page, server, upload
from conftest import BIN, CLIP, ROOT, bgblur, copy_project, one_sentence, read_frames, run, sound, until, write_clip

from bgblur.pipeline import Blurrer

IMAGE = ROOT/'sample_data'/'training'/'images'/'012.jpg'


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    "Start the page. Yield its process, its address and its folder for temporary files."
    tmp = tmp_path_factory.mktemp('tmp')
    with app(TMPDIR=tmp) as (process, url): yield process, url, tmp


@pytest.fixture
def page(served):
    "Yield the page in Chromium. Check that it asks no other server, and that its console shows no error."
    asked = set()
    with chromium(1400) as page:
        page.on('request', lambda r: asked.add(r.url.split('?')[0]))
        errors = open_page(page, served[1])
        yield page
    home = served[1].split('?')[0]
    assert {a for a in asked if not a.startswith((home, f'blob:{home}', 'data:'))} == set()
    assert errors == []


def shown(page, part): return page.locator(f'[data-part={part}]')


def previewed(page):
    "Wait until the preview shows a file."
    page.wait_for_function("() => document.querySelector('[data-part=after]').naturalWidth > 0", timeout=180_000)
    until(lambda: not shown(page, 'wait').inner_text())


def start(page): page.get_by_role('button', name='Blur', exact=True).click()


def states(page): return page.locator('li .state').all_inner_texts()


def wait_for_states(page, *expected): until(lambda: states(page) == [*expected], 'the files have other states', 300)


def download(page, link, folder):
    "Download the file behind a link to `folder`. Return its path."
    with page.expect_download() as got: link.click()
    path = folder/got.value.suggested_filename
    got.value.save_as(path)
    return path


def uploads(tmp):
    "Return the names of all files in the folders of uploads, which are inside the folder of the server."
    return [p.name for p in tmp.glob('bgblur-*/bgblur-*/**/*') if p.is_file()]


def is_kernel(process):
    try: return 'ipykernel' in ' '.join(process.cmdline())
    except psutil.Error: return False    # it has just exited


def kernels(process): return [c for c in psutil.Process(process.pid).children(recursive=True) if is_kernel(c)]


def pixels(locator):
    "Return what an image element shows, BGR uint8."
    return cv2.imdecode(np.frombuffer(locator.screenshot(), np.uint8), 1).astype(int)


def test_image_with_preview_result_and_download(served, page, tmp_path):
    tmp = served[2]
    upload(page, IMAGE)
    previewed(page)
    before = pixels(shown(page, 'preview'))
    page.get_by_label('One colour').check()
    until(lambda: abs(pixels(shown(page, 'preview')) - before).mean() > 3, 'the preview does not follow the control')
    page.get_by_label('Blur', exact=True).check()
    start(page)
    shown(page, 'media').locator('img').wait_for(timeout=180_000)
    out = download(page, shown(page, 'download'), tmp_path)
    assert out.name == '012-blurred.jpg'
    assert cv2.absdiff(cv2.imread(str(out)), Blurrer(quality='best')(cv2.imread(str(IMAGE)))).mean() < .5
    assert uploads(tmp) == []
    # another setting makes the result out of date, and the button starts again
    assert page.get_by_role('button', name='Blur', exact=True).is_disabled()
    page.get_by_label('Edge', exact=True).press('ArrowRight')
    assert page.get_by_role('button', name='Blur', exact=True).is_enabled()


@pytest.fixture(scope='module')
def talk(tmp_path_factory, frames):
    "Return a short clip with sound."
    return write_clip(tmp_path_factory.mktemp('talk')/'talk.mp4', frames[:24])


def test_clip_plays_with_sound(page, talk, tmp_path):
    upload(page, talk)
    previewed(page)
    start(page)
    video = page.locator('video')
    video.wait_for(timeout=300_000)
    video.evaluate('v => { v.muted = true; return v.play(); }')
    until(lambda: video.evaluate('v => v.currentTime') > .2, 'the result does not play')
    out = download(page, page.get_by_role('link', name='Download talk-blurred.mp4').first, tmp_path)
    assert [data for _, data in sound(out)] == [data for _, data in sound(talk)]
    assert len(read_frames(out)) == 24


def test_several_files_in_a_row(page, talk, tmp_path):
    "A photo without an ending, a broken file and a clip: each has its state, and the broken one does not stop the others."
    odd, broken = shutil.copy(IMAGE, tmp_path/'IMG_0001'), tmp_path/'me.jpg'
    broken.write_text('hello')
    upload(page, odd)
    upload(page, broken, talk)
    page.get_by_role('button', name='Blur 3 files').click()
    sentence = 'me.jpg is not an image or video that bgblur can read. Choose another file.'
    wait_for_states(page, 'done', sentence, 'done')
    alert = page.get_by_role('alert')
    assert alert.inner_text() == '' or alert.inner_text() == sentence
    names = [download(page, link, tmp_path).name for link in page.locator('li a:visible').all()]
    assert names == ['IMG_0001-blurred.jpg', 'talk-blurred.mp4']
    page.get_by_role('button', name='me.jpg', exact=True).click()
    assert alert.inner_text() == sentence
    r, g, b = map(int, alert.evaluate('e => getComputedStyle(e).color').strip('rgb()').split(','))
    assert r > 150 and g < 50 and b < 80
    assert not shown(page, 'stage').is_visible()
    page.get_by_role('button', name='Remove me.jpg').click()
    assert states(page) == ['done', 'done'] and alert.inner_text() == ''


def test_cancel_leaves_nothing_and_the_next_file_works(served, page, tmp_path):
    tmp = served[2]
    upload(page, CLIP)
    previewed(page)
    start(page)
    until(lambda: states(page)[0].endswith('%'), 'there is no progress', 300)
    assert page.get_by_text('testclip.mp4: ').and_(page.get_by_text('left')).is_visible()
    page.get_by_role('button', name='Cancel').click()
    wait_for_states(page, 'cancelled')
    # an earlier page may still have its upload
    assert {*uploads(tmp)} == {'upload'} and page.locator('video').count() == 0
    page.get_by_role('button', name='Remove testclip.mp4').click()
    upload(page, IMAGE)
    previewed(page)
    start(page)
    wait_for_states(page, 'done')
    until(lambda: uploads(tmp) == [])


def test_closing_the_page_cancels_the_work(served, page, tmp_path):
    process, _, tmp = served
    upload(page, CLIP)
    previewed(page)
    page.get_by_text('Advanced').click()
    page.get_by_label('Accuracy').select_option('best')
    start(page)
    until(lambda: states(page)[0].endswith('%'), 'there is no progress', 300)
    assert 'new' in uploads(tmp)
    page.goto('about:blank')
    until(lambda: 'new' not in uploads(tmp), 'the work goes on')
    assert 'result.mp4' not in uploads(tmp)
    until(lambda: not kernels(process), 'the kernel of a closed page is still running')
    assert uploads(tmp) == []


def drop(page, path):
    "Drop a file on the page."
    data = page.evaluate_handle('''async ([name, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name));
        return data;
    }''', [path.name, [*path.read_bytes()]])
    page.dispatch_event('main', 'drop', {'dataTransfer': data})


def test_dropped_file_own_background_and_large_file(page, tmp_path):
    drop(page, IMAGE)
    previewed(page)
    beach = tmp_path/'beach.png'
    cv2.imwrite(str(beach), np.full((60, 80, 3), (200, 120, 40), np.uint8))
    page.get_by_label('My own image or video').check()
    with page.expect_file_chooser() as chooser: page.get_by_role('button', name='Choose the background').click()
    chooser.value.set_files(beach)
    page.get_by_text('beach.png').wait_for()
    start(page)
    wait_for_states(page, 'done')
    out = download(page, shown(page, 'download'), tmp_path)
    assert out.name == '012-replaced.jpg'
    assert abs(cv2.imread(str(out))[:20, :20].mean((0, 1)) - (200, 120, 40)).max() < 6
    large = tmp_path/'large.mp4'
    large.touch()
    os.truncate(large, 3*10**9)
    upload(page, large)
    page.get_by_role('alert').get_by_text('large.mp4 has 3000 MB. Choose a file of at most 2000 MB.').wait_for(timeout=180_000)


def test_keyboard_alone(page, talk):
    "Choose a file, move the divider, change the strength, blur and play, without a mouse."
    def tab_to(locator):
        for _ in range(40):
            page.keyboard.press('Tab')
            if locator.evaluate('e => e === document.activeElement'): break
        else: pytest.fail(f'Tab does not reach {locator}')
        assert locator.evaluate('e => getComputedStyle(e).outlineStyle') == 'solid' or \
               locator.evaluate('e => getComputedStyle(e.parentElement).outlineStyle') == 'solid', 'the focus is invisible'
    with page.expect_file_chooser() as chooser:
        tab_to(page.get_by_role('button', name='Choose images or videos'))
        page.keyboard.press('Enter')
    chooser.value.set_files(talk)
    previewed(page)
    divider = page.get_by_label('Share of the original')
    tab_to(divider)
    before = pixels(shown(page, 'preview'))
    for _ in range(30): page.keyboard.press('ArrowRight')
    assert divider.input_value() == '80' and abs(pixels(shown(page, 'preview')) - before).mean() > .5
    tab_to(page.get_by_label('Blur', exact=True))
    tab_to(page.get_by_label('Strength'))
    page.keyboard.press('End')
    assert page.get_by_label('Strength').input_value() == '181'
    tab_to(page.get_by_text('Advanced', exact=True))
    page.keyboard.press('Enter')
    tab_to(page.get_by_label('Accuracy'))
    tab_to(page.get_by_role('button', name='Blur', exact=True))
    page.keyboard.press('Enter')
    page.locator('video').wait_for(timeout=300_000)
    until(lambda: shown(page, 'download').evaluate('e => e === document.activeElement'), 'the download has no focus')


def serious(page):
    "Return the serious violations that axe-core finds."
    found = Axe().run(page).response['violations']
    return [(v['id'], v['nodes'][0]['html'][:200]) for v in found if v['impact'] in ('serious', 'critical')]


def test_axe_finds_no_serious_violation_at_any_width(page, talk, tmp_path):
    broken = tmp_path/'me.jpg'
    broken.write_text('hello')
    def check():
        for width in (420, 900, 1400):
            page.set_viewport_size({'width': width, 'height': 900})
            assert page.evaluate('document.documentElement.scrollWidth') <= width
            assert serious(page) == []
    page.get_by_text('Advanced', exact=True).click()
    check()
    upload(page, talk, broken)
    previewed(page)
    check()
    page.get_by_role('button', name='Blur 2 files').click()
    until(lambda: states(page)[0] == 'done' and 'not an image' in states(page)[1], seconds=300)
    check()


def test_page_is_for_this_computer_only(served):
    process, url, _ = served
    listening = [c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == 'LISTEN' and str(c.laddr.port) in url]
    assert listening == ['127.0.0.1']


def test_address_is_in_no_command_line(served):
    others = [' '.join(p.cmdline()) for p in (psutil.Process(served[0].pid), *psutil.Process(served[0].pid).children(recursive=True))]
    assert others and not any('for-the-test' in line for line in others)


def test_ctrl_c_ends_the_server_and_keeps_nothing(tmp_path, tmp_path_factory):
    "It prints one line, opens a private file in the browser, and ends with 130 and without a folder, also while a clip is blurred."
    opener = tmp_path/'opener'
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path/"opened.tmp"}\nmv {tmp_path/"opened.tmp"} {tmp_path/"opened"}\n')
    opener.chmod(0o755)
    tmp = tmp_path_factory.mktemp('long'*10)    # too long for the path of a Unix socket
    command = [BIN/'bgblur', 'app', '--port=']
    with open(tmp_path/'out', 'w+') as out, chromium() as page, \
         server(command, '/?token=for-the-test', out, JUPYTER_TOKEN='for-the-test', TMPDIR=tmp, BROWSER=opener) as (process, url):
        until(lambda: (tmp_path/'opened').exists(), 'no browser was opened')
        assert 'for-the-test' not in (tmp_path/'opened').read_text()
        page.goto((tmp_path/'opened').read_text().strip())
        page.wait_for_url(url)
        open_page(page, url)
        upload(page, CLIP)
        previewed(page)
        start(page)
        until(lambda: states(page)[0].endswith('%'), 'there is no progress', 300)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        lines = (tmp_path/'out').read_text().splitlines()
    assert lines == [f'Open {url} in a browser. Press Ctrl-C to stop.']
    assert [*tmp.glob('bgblur-*')] == []


def test_port_in_use(served):
    port = served[1].split(':')[2].split('/')[0]
    one_sentence(bgblur('app', '--no-browser', '--port', port), f'Port {port} cannot be used', '--port')


def test_missing_extra_is_named():
    "Without the packages of the extra, the command says what to install."
    code = "import sys; sys.modules['anywidget'] = None; sys.argv = ['bgblur', 'app']; from bgblur.cli import main; main()"
    one_sentence(run(sys.executable, '-c', code, timeout=300), "pip install 'bgblur[notebooks]'")


def test_installed_wheel_serves_the_page(tmp_path):
    "Build a wheel, install it without a checkout, and open its page from another folder."
    built = run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', tmp_path, copy_project(tmp_path/'copy'))
    assert built.returncode == 0, built.stderr
    wheel, = tmp_path.glob('*.whl')
    installed = run(sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--target', tmp_path/'site', wheel)
    assert installed.returncode == 0, installed.stderr
    shutil.rmtree(tmp_path/'copy')
    command = [sys.executable, '-c', f'import os; os.chdir({str(tmp_path)!r}); from bgblur.cli import main; main()', 'app', '--no-browser', '--port=']
    with server(command, '/?token=for-the-test', JUPYTER_TOKEN='for-the-test', PYTHONPATH=tmp_path/'site') as (process, url), chromium() as page:
        errors = open_page(page, url)
        upload(page, IMAGE)
        previewed(page)
        assert errors == [] and {k.cwd() for k in kernels(process)} == {str(tmp_path/'site'/'bgblur'/'page')}
