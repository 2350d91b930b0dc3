"Test live video: the command with a file in place of a camera, its window, and the notebook widget in a browser."
import base64
import contextlib
import os
import shutil
import signal
import subprocess
import time
import tomllib
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from browser import run_cell
from conftest import BIN, CLIP, bgblur, one_sentence, read_frames, times, until, write_clip
from live_view import display, live_notebook, live_widget

NO_DISPLAY = {k: v for k, v in os.environ.items() if k not in ('DISPLAY', 'WAYLAND_DISPLAY')}
MAP = np.s_[60:190, 5:75]     # on the wall of the sample clip, in a frame of 400x300
FACE = np.s_[110:200, 165:230]


def detail(img, part=MAP):
    "Return the contrast of fine detail in a part of an image."
    return cv2.Laplacian(cv2.cvtColor(img[part], cv2.COLOR_BGR2GRAY), cv2.CV_32F).std()


@pytest.fixture
def started():
    "Return a function that starts processes. Those still running after the test are killed."
    processes = []

    def start(*args, **kwargs):
        processes.append(subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs))
        return processes[-1]
    yield start
    for process in processes: process.kill()


def test_measures_a_file_without_showing_it(tmp_path):
    "Run longer than the clip, which then starts again."
    result = bgblur('live', '--source', write_clip(tmp_path/'short.mp4', [np.full((120, 160, 3), 90, np.uint8)]*10, audio=None),
                    '--size', '320x180', '--rate', 30, '--to', 'none', '--seconds', 2)
    assert result.returncode == 0, result.stderr
    for words in ('short.mp4, 320x180', 'per second', 'dropped', 'processing', 'latency', 'first third', 'memory'): assert words in result.stdout
    assert int(result.stdout.split(': ')[1].split()[0]) > 10


def test_once_shows_each_frame_at_most_once(tmp_path, frames):
    result = bgblur('live', '--source', write_clip(tmp_path/'a.mp4', frames[:10], audio=None), '--once', '--to', 'none')
    words = result.stdout.split('\n')[0].split()
    assert result.returncode == 0 and int(words[words.index('frames') - 1]) + int(words[words.index('dropped') - 1]) == 10
    quiet = bgblur('live', '--source', tmp_path/'a.mp4', '--once', '--to', 'none', '-q')
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, '', '')


@pytest.mark.parametrize('kill, code', [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_ctrl_c_ends_with_the_report(started, kill, code):
    process = started(BIN/'bgblur', 'live', '--source', CLIP, '--to', 'none')
    assert process.stderr.readline() == 'bgblur: waiting for testclip.mp4\n'
    time.sleep(1)
    process.send_signal(kill)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (code, '') and ('frames in' in out) == (code == 0)


def test_a_missing_device_is_one_sentence(tmp_path):
    source = ['live', '--source', CLIP]
    one_sentence(bgblur(*source, env=NO_DISPLAY), 'without a display', '--to virtual')
    one_sentence(bgblur(*source, env=NO_DISPLAY | {'DISPLAY': ':987'}), 'Cannot open a window')
    one_sentence(bgblur('live', '--source', tmp_path/'no.mp4'), 'no file')
    one_sentence(bgblur('live', '--camera', '987', '--to', 'none'), 'Cannot read from camera 987')
    one_sentence(bgblur(*source, '--to', 'virtual', '--virtual-device', '/dev/video987'), 'no virtual camera', '/dev/video987')
    (tmp_path/'pyvirtualcam.py').write_text('raise ImportError')
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get('PYTHONPATH')]))
    one_sentence(bgblur(*source, '--to', 'virtual', env=os.environ | {'PYTHONPATH': path}), "pip install 'bgblur[live]'")
    one_sentence(bgblur(*source, '--to', 'none', '--person', '50%,50%@3'), 'no time')
    assert bgblur('live', '--size', 'big').returncode == bgblur('live', '--once').returncode == 2


# -- recordings

def shown(result):
    "Return how many frames the report counts."
    words = result.stdout.split('\n')[0].split()
    return int(words[words.index('frames') - 1])


def test_recording_keeps_frames_and_times(tmp_path, frames):
    "The clip pauses for a second after its fifth frame."
    pts = [40*i + 1000*(i > 4) for i in range(10)]
    clip = write_clip(tmp_path/'a.mp4', frames[:10], pts, time_base=Fraction(1, 1000), audio=None)
    result = bgblur('live', '--source', clip, '--once', '--to', 'none', '--record', 'b.mp4', '--microphone', 'nowhere', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = times(tmp_path/'b.mp4')
    assert len(found) == shown(result) and found[0] == 0 and max(np.diff(found)) > .7
    assert "without sound. Found no microphone 'nowhere'" in result.stderr and f'saved {tmp_path}/b.mp4: {len(found)} frames' in result.stderr
    with av.open(str(tmp_path/'b.mp4')) as c: assert not c.streams.audio
    assert all(detail(img) < .5*detail(frames[0]) for img in read_frames(tmp_path/'b.mp4'))
    source = ['live', '--source', clip, '--to', 'none', '--record']
    one_sentence(bgblur(*source, tmp_path/'b.mp4'), 'b.mp4 exists')
    one_sentence(bgblur(*source, clip, '--overwrite'), 'is the source itself')
    one_sentence(bgblur(*source, tmp_path/'b.txt'), 'unsupported ending')
    assert len(times(tmp_path/'b.mp4')) == len(found) and {p.name for p in tmp_path.iterdir()} == {'a.mp4', 'b.mp4'}


@pytest.mark.parametrize('kill, code', [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_completes_the_recording(started, tmp_path, kill, code):
    process = started(BIN/'bgblur', 'live', '--source', CLIP, '--to', 'none', '--record', tmp_path/'a.mp4')
    assert [process.stderr.readline() for _ in range(2)] == ['bgblur: recording\n', 'bgblur: waiting for testclip.mp4\n']
    until(lambda: any(p.stat().st_size > 1000 for p in tmp_path.glob('.*/new')), 'nothing was written')
    assert not (tmp_path/'a.mp4').exists()
    process.send_signal(kill)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and f'saved {tmp_path}/a.mp4' in err, err
    assert [p.name for p in tmp_path.iterdir()] == ['a.mp4'] and len(times(tmp_path/'a.mp4')) > 0


# -- the last choices

def test_last_choices(tmp_path):
    env, path = os.environ | {'XDG_CONFIG_HOME': str(tmp_path)}, tmp_path/'bgblur'/'live.toml'
    def live(*args, **kwargs): return bgblur('live', '--source', CLIP, '--to', 'none', '--seconds', .3, *args, env=env, **kwargs)
    def kept():
        tables = tomllib.loads(path.read_text())
        return tables['settings']['background'], tables['settings']['strength'], tables['liveview']['mirror']
    assert live('-b', 'lens', '--mirror', '--no-remember').returncode == 0 and not path.exists()
    assert live('-b', 'lens', '--mirror', '--person', '50%,50%', '--record', tmp_path/'a.mp4').returncode == 0
    assert kept() == ('lens', 61, True)
    # options and presets come first
    (tmp_path/'p.toml').write_text('[settings]\nstrength = 31')
    assert live('--preset-file', tmp_path/'p.toml', '--no-mirror').returncode == 0
    assert kept() == ('lens', 31, False) and 'person =' not in path.read_text() and 'a.mp4' not in path.read_text()
    assert live('-b', 'grey', '--camera', '1').returncode == 2 and kept() == ('lens', 31, False)
    # a file that cannot be used is ignored and stays
    path.write_text('strength: 3')
    result = live('-b', 'grey')
    assert result.returncode == 0 and 'the last choices are ignored' in result.stderr and path.read_text() == 'strength: 3'


# -- the window, on a display without a screen

@contextlib.contextmanager
def window(folder, started, size, *args, **kwargs):
    "Start `bgblur live` with `args` and yield functions that look at its window and operate it."
    with display(folder) as (name, screenshot):
        env = os.environ | {'DISPLAY': name, 'XDG_CONFIG_HOME': str(folder)}

        def xdotool(*args): return subprocess.run(['xdotool', *map(str, args)], env=env, capture_output=True, text=True, check=False).stdout.strip()

        def number(): return next(iter(xdotool('search', '--name', '^bgblur$').split()), None)

        def image():
            lines = xdotool('getwindowgeometry', '--shell', number() or 0).split('\n')[1:5]
            if len(lines) < 4: return np.zeros((*size[::-1], 3), np.uint8)      # not drawn yet
            x, y, w, h = (int(v.split('=')[1]) for v in lines)
            return cv2.resize(screenshot()[y:y+h, x:x+w], size)

        def drawn():
            "Map the window again while it is black: without a window manager, Qt sometimes loses its first expose event."
            if not (img := image()).any(): xdotool('windowunmap', number(), 'sleep', .2, 'windowmap', number(), 'sleep', 1)
            return img

        def repeat(act, effect, what, seconds):
            "Act until it has an effect: OpenCV reports only the last key, and a busy machine may miss it."
            def acted():
                act()
                end = time.monotonic() + seconds
                while not effect() and time.monotonic() < end: time.sleep(.1)
                return effect()
            until(acted, what)

        def press(key, effect, what, seconds=15): repeat(lambda: xdotool('key', key), effect, what, seconds)

        def click(x, y, effect, what): repeat(lambda: xdotool('mousemove', '--window', number(), x, y, 'click', 1), effect, what, 15)
        process = started(BIN/'bgblur', 'live', *args, env=env, **kwargs)
        until(lambda: number() or process.poll() is not None, 'no window called bgblur')
        assert process.poll() is None, process.communicate()
        yield SimpleNamespace(process=process, image=image, drawn=drawn, press=press, click=click,
                              focus=lambda: xdotool('windowfocus', number()))


needs_display = pytest.mark.skipif(not (shutil.which('Xvfb') and shutil.which('xdotool')), reason='needs Xvfb and xdotool')


@needs_display
def test_window_and_its_keys(tmp_path, frames, started):
    with window(tmp_path, started, (400, 300), '--source', CLIP, '--strength', 101) as win:
        until(lambda: detail(win.drawn(), FACE) > .7*detail(frames[0], FACE), 'no sharp face in the window')
        assert detail(win.image()) < .5*detail(frames[0])
        win.focus()
        win.press('minus', lambda: detail(win.image()) > .7*detail(frames[0]), 'the background stays blurred at the lowest strength', .2)
        win.press('p', lambda: np.median(win.image()[FACE]) == 255 and np.median(win.image()[MAP]) == 0, 'no alpha after the key p')
        win.press('q', lambda: win.process.poll() is not None, 'the key q does not end it')
        out, err = win.process.communicate(timeout=60)
        assert (win.process.returncode, err) == (0, 'bgblur: waiting for testclip.mp4\n') and 'frames in' in out


@needs_display
def test_window_follows_mirrors_and_saves(tmp_path, frames, started):
    "Two copies of one frame stand for two people. The text covers only the upper left corner."
    two, folder = np.hstack([frames[0]]*2), tmp_path/'here'
    folder.mkdir()
    clip, faces = write_clip(tmp_path/'two.mp4', [two]*25, audio=None), [np.s_[110:200, x + 165:x + 230] for x in (0, 400)]

    def sharp(img, like=two): return [bool(detail(img, face) > .6*detail(like, face)) for face in faces]

    def mirrored(img): return img[:, ::-1]

    def saved(suffix): return [*folder.glob(f'bgblur-*{suffix}')]
    with window(tmp_path, started, (800, 300), '--source', clip, '--strength', 101, cwd=folder) as win:
        until(lambda: sharp(win.drawn()) == [True, True], 'two faces are not sharp in the window')
        win.focus()
        win.click(600, 180, lambda: sharp(win.image()) == [False, True], 'a click on the right person changes nothing')
        win.press('c', lambda: sharp(win.image()) == [True, True], 'the key c does not release the person')
        before = win.image()
        win.press('m', lambda: cv2.absdiff(mirrored(win.image()), before)[150:].mean() < 3 < cv2.absdiff(win.image(), before)[150:].mean(), 'the key m does not mirror')
        # side by side: both images keep their shape, with black bars above and below
        win.press('o', lambda: not win.image()[-60:].any(), 'no bars after the key o')
        small = cv2.resize(cv2.resize(two, (400, 150), interpolation=cv2.INTER_AREA), (800, 300))

        def half(i): return mirrored(cv2.resize(win.image()[75:225, 400*i:400*(i + 1)], (800, 300)))
        assert cv2.absdiff(half(0), small)[150:].mean() < 4 and sharp(half(1), small) == [True, True]
        # a click on the left person in the mirrored result, which is the right half
        win.click(400 + 300, 165, lambda: sharp(half(1), small) == [True, False], 'no person after a click')
        win.press('s', lambda: saved('.png'), 'no snapshot', 30)
        assert sharp(cv2.imread(str(saved('.png')[0]))) == [True, False]
        win.press('r', lambda: any(folder.glob('.*.part')), 'no recording', 30)
        time.sleep(1)
        win.press('r', lambda: saved('.mp4'), 'the recording does not end', 30)
        images = read_frames(saved('.mp4')[0])
        assert images and all(sharp(img) == [True, False] for img in images)
        shutil.rmtree(folder)
        win.press('s', lambda: (np.int32(win.image()[:75]) @ [-1, -1, 2] > 200).sum() > 50, 'no red error')
        win.press('q', lambda: win.process.poll() is not None, 'the key q does not end it')
        assert win.process.returncode == 0 and 'mirror = true' in (tmp_path/'bgblur'/'live.toml').read_text()


# -- a real virtual camera

def loopback():
    "Return the first device of v4l2loopback, or None."
    names = Path('/sys/devices/virtual/video4linux').glob('video*')
    return next((f'/dev/{p.name}' for p in names if os.access(f'/dev/{p.name}', os.W_OK)), None)


@pytest.mark.skipif(not loopback(), reason='needs v4l2loopback')
def test_real_virtual_camera(started, frames):
    process = started(BIN/'bgblur', 'live', '--source', CLIP, '--to', 'virtual', '--virtual-device', loopback(), '--no-rest')
    camera = cv2.VideoCapture()
    until(lambda: camera.isOpened() or camera.open(loopback(), cv2.CAP_V4L2))
    img = [camera.read()[1] for _ in range(40)][-1]
    camera.release()
    assert img.shape == frames[0].shape and detail(img) < .5*detail(frames[0]) and detail(img, FACE) > .5*detail(frames[0], FACE)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


# -- the notebook widget

def decoded(url):
    "Return the image in a data URL, BGR uint8; black if it has another size than the camera's."
    img = cv2.imdecode(np.frombuffer(base64.b64decode(url.split(',')[1]), np.uint8), cv2.IMREAD_COLOR)
    return img if img.shape == (300, 400, 3) else np.zeros((300, 400, 3), np.uint8)


def shown_by(canvas):
    "Return what a canvas shows, BGR uint8."
    return decoded(canvas.evaluate('c => c.toDataURL()'))


def slide(box, key, times):
    handle = box.locator('.widget-slider', has_text='strength').locator('.noUi-handle')
    handle.focus()
    for _ in range(times): handle.press(key)


def test_widget_in_jupyterlab(tmp_path, frames):
    with live_notebook(tmp_path, frames[:60]) as page:
        def all_hidden():
            "Return whether the background was hidden in all images drawn since the last call."
            images = [decoded(url) for url in page.evaluate('drawn.splice(0)')]
            return len(images) > 1 and all(detail(img) < .6*detail(frames[0]) for img in images)

        # the kernel's camera, played by a file: the person is sharp and moves, the map is blurred
        run_cell(page, 0)
        here, controls = live_widget(page, 0)
        until(lambda: detail(shown_by(here), FACE) > .6*detail(frames[0], FACE), 'no sharp face from the kernel')
        assert detail(shown_by(here)) < .5*detail(frames[0])
        before = shown_by(here)
        until(lambda: cv2.absdiff(shown_by(here), before)[FACE].mean() > 1)
        until(lambda: ' fps, ' in controls.inner_text())
        assert all_hidden()
        # the browser's camera stops the kernel's
        run_cell(page, 1)
        canvas, box = live_widget(page, 1)
        until(lambda: detail(shown_by(canvas), FACE) > .6*detail(frames[0], FACE), "no sharp face from the browser's camera")
        until(lambda: controls.get_by_role('button', name='Start').count() == box.get_by_role('button', name='Stop').count() == 1)
        # the page has no video element, not even a hidden one
        assert all_hidden() and page.locator('video').count() == 0
        assert page.evaluate('opened.map(track => track.readyState)') == ['live']
        # lowest strength, then highest
        slide(box, 'Home', 1)
        until(lambda: detail(shown_by(canvas)) > .7*detail(frames[0]), 'the background stays blurred at the lowest strength')
        slide(box, 'End', 1)
        until(lambda: detail(shown_by(canvas)) < .3*detail(frames[0]))
        box.get_by_label('show').select_option('alpha')
        until(lambda: np.median(shown_by(canvas)[FACE]) > 250 and np.median(shown_by(canvas)[MAP]) < 5)
        box.get_by_label('mirror my view').check()
        until(lambda: np.median(shown_by(canvas)[:, ::-1][MAP]) < 5 < np.median(shown_by(canvas)[:, ::-1][FACE]))
        box.get_by_label('mirror my view').uncheck()
        box.get_by_label('show').select_option('result')
        # a click on the person, and the button that releases them
        size = canvas.bounding_box()
        canvas.click(position={'x': .5*size['width'], 'y': .6*size['height']})
        until(lambda: ', following one person' in box.inner_text(), 'a click follows no person')
        box.get_by_role('button', name='Unfollow').click()
        until(lambda: box.get_by_role('button', name='Unfollow').is_disabled())
        # an error is announced; snapshot and recording are saved beside the notebook
        box.get_by_label('or', exact=True).fill('gren')
        box.get_by_label('or', exact=True).press('Enter')
        until(lambda: 'gren' in ' '.join(box.get_by_role('alert').all_inner_texts()), 'no error')
        box.get_by_label('or', exact=True).fill('')
        box.get_by_label('or', exact=True).press('Enter')
        box.get_by_role('button', name='Snapshot').click()
        until(lambda: [*tmp_path.glob('bgblur-*.png')], 'no snapshot')
        box.get_by_role('button', name='Record').click()
        box.get_by_role('button', name='Stop recording').wait_for()
        # a recording without a frame leaves no file
        for _ in range(3):
            before = shown_by(canvas)
            until(lambda: (shown_by(canvas) != before).any(), 'the image stands still')
        box.get_by_role('button', name='Stop recording').click()
        until(lambda: [*tmp_path.glob('bgblur-*.mp4')], 'no recording')
        # Stop releases the camera, and the image stays
        until(lambda: box.get_by_role('button', name='Stop').count() == 1, 'the recording goes on')
        box.get_by_role('button', name='Stop').click()
        until(lambda: box.get_by_role('button', name='Start').count() == 1)
        until(lambda: page.evaluate('opened.map(track => track.readyState)') == ['ended'])
        still = shown_by(canvas)
        time.sleep(1)
        assert (shown_by(canvas) == still).all()
