"Test live video: the command with a file in place of a camera, its window, and the notebook widget in a browser."
import base64
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import BIN, CLIP, bgblur, one_sentence, until, write_clip
from stage import display, live_notebook, live_widget, run_cell

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
    assert bgblur('live', '--size', 'big').returncode == bgblur('live', '--once').returncode == 2


# -- the window, on a display without a screen

@pytest.mark.skipif(not (shutil.which('Xvfb') and shutil.which('xdotool')), reason='needs Xvfb and xdotool')
def test_window_and_its_keys(tmp_path, frames, started):
    with display(tmp_path) as (name, screenshot):
        env = os.environ | {'DISPLAY': name}

        def xdotool(*args): return subprocess.run(['xdotool', *map(str, args)], env=env, capture_output=True, text=True, check=False).stdout.strip()

        def window(): return next(iter(xdotool('search', '--name', '^bgblur$').split()), None)

        def shown():
            lines = xdotool('getwindowgeometry', '--shell', window() or 0).split('\n')[1:5]
            if len(lines) < 4: return np.zeros((300, 400, 3), np.uint8)      # not drawn yet
            x, y, w, h = (int(v.split('=')[1]) for v in lines)
            return cv2.resize(screenshot()[y:y+h, x:x+w], (400, 300))

        def face_is_shown():
            "Map the window again while it is black: without a window manager, Qt sometimes loses its first expose event."
            if not (img := shown()).any(): xdotool('windowunmap', window(), 'sleep', .2, 'windowmap', window(), 'sleep', 1)
            return detail(img, FACE) > .7*detail(frames[0], FACE)

        def press(key, effect, what, seconds):
            "Press a key until it has an effect: OpenCV reports only the last one, and a busy machine may miss it."
            def pressed():
                xdotool('key', key)
                end = time.monotonic() + seconds
                while not effect() and time.monotonic() < end: time.sleep(.1)
                return effect()
            until(pressed, what)
        process = started(BIN/'bgblur', 'live', '--source', CLIP, '--strength', 101, env=env)
        until(lambda: window() or process.poll() is not None, 'no window called bgblur')
        assert process.poll() is None, process.communicate()
        until(face_is_shown, 'no sharp face in the window')
        assert detail(shown()) < .5*detail(frames[0])
        xdotool('windowfocus', window())
        press('minus', lambda: detail(shown()) > .7*detail(frames[0]), 'the background stays blurred at the lowest strength', .2)
        press('p', lambda: np.median(shown()[FACE]) == 255 and np.median(shown()[MAP]) == 0, 'no alpha after the key p', 15)
        press('q', lambda: process.poll() is not None, 'the key q does not end it', 15)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, 'bgblur: waiting for testclip.mp4\n') and 'frames in' in out


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
        box.locator('select').nth(1).select_option('alpha')
        until(lambda: np.median(shown_by(canvas)[FACE]) > 250 and np.median(shown_by(canvas)[MAP]) < 5)
        # Stop releases the camera, and the image stays
        box.get_by_role('button', name='Stop').click()
        until(lambda: box.get_by_role('button', name='Start').count() == 1)
        until(lambda: page.evaluate('opened.map(track => track.readyState)') == ['ended'])
        still = shown_by(canvas)
        time.sleep(1)
        assert (shown_by(canvas) == still).all()
