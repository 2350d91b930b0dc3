"Helpers of the end-to-end tests: run the command, copy the project, make clips."
import shutil
import signal
import subprocess
import sys
import time
from configparser import ConfigParser
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
CLIP = ROOT/'sample_data'/'testclip.mp4'

# A shell lets background jobs and their children ignore Ctrl-C. The commands under test must not ignore it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler)


def settings():
    "Return the values of settings.ini."
    config = ConfigParser()
    config.read(ROOT/'settings.ini', encoding='utf-8')
    return config['DEFAULT']


def pytest_addoption(parser):
    parser.addoption('--soak', action='store_true', help='run only the tests that have a long form, at full length')


def pytest_collection_modifyitems(config, items):
    if config.getoption('--soak'): items[:] = [i for i in items if 'soak' in i.fixturenames]


@pytest.fixture
def soak(request):
    "Return whether a test runs at full length, as in `make soak`."
    return request.config.getoption('--soak')


@pytest.fixture(autouse=True)
def no_last_choices(tmp_path_factory, monkeypatch):
    "Let `bgblur live` keep its choices in an empty folder, not in that of the user or of another test."
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path_factory.mktemp('config')))


def run(*args, **kwargs):
    "Run a process and return it, with its output as text."
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)


def bgblur(*args, **kwargs): return run(BIN/'bgblur', *args, **kwargs)


def one_sentence(result, *words):
    "Check that the command exited with code 2 and one line on standard error, which contains `words`."
    assert result.returncode == 2, (result.returncode, result.stderr)
    lines = result.stderr.strip().split('\n')
    assert len(lines) == 1 and lines[0].startswith('bgblur: ') and lines[0].endswith('.'), lines
    for word in words: assert word in lines[0], lines


def until(true, what='', seconds=120):
    "Wait until `true()` returns something true, and return that. Fail after `seconds`; `what` describes the problem."
    end = time.monotonic() + seconds
    while not (result := true()):
        if time.monotonic() > end: pytest.fail(f'not within {seconds} seconds: {what or "no condition became true"}')
        time.sleep(.1)
    return result


def copy_project(dst):
    "Copy the files that git tracks or would track to `dst`, as a fresh clone has them."
    files = run('git', 'ls-files', '-co', '--exclude-standard', cwd=ROOT, check=True).stdout.split('\n')[:-1]
    for f in files:
        if not (ROOT/f).exists(): continue
        (dst/f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT/f, dst/f)
    return dst


@pytest.fixture(scope='session')
def frames():
    reader, imgs = cv2.VideoCapture(str(CLIP)), []
    while (img := reader.read()[1]) is not None: imgs.append(img)
    return imgs


def write_clip(path, imgs, pts=None, rate=Fraction(25), time_base=None, audio='aac', pix_fmt='yuv420p'):
    "Write a clip of `imgs`, at `rate` or at the times `pts*time_base`, with half a second of a tone. Return `path`."
    with av.open(str(path), 'w') as out:
        v = out.add_stream('libx264', rate=rate, options={'crf': '10'})
        v.height, v.width = imgs[0].shape[:2]
        v.pix_fmt = pix_fmt
        if time_base: v.codec_context.time_base = time_base
        a = out.add_stream(audio, rate=48000, layout='stereo') if audio else None
        for i, img in enumerate(imgs):
            frame = av.VideoFrame.from_ndarray(img, format='bgr24')
            if pts: frame.pts, frame.time_base = pts[i], time_base
            out.mux(v.encode(frame))
        out.mux(v.encode())
        if not a: return path
        tone = np.sin(np.arange(24000)*2*np.pi*440/48000).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(np.stack([tone, tone/2]), format='fltp', layout='stereo')
        sound.rate, sound.pts = 48000, 0
        out.mux(a.encode(sound))
        out.mux(a.encode())
    return path


def times(path):
    with av.open(str(path)) as c: return [f.pts*f.time_base for f in c.decode(video=0)]


def read_frames(path):
    with av.open(str(path)) as c: return [f.to_ndarray(format='bgr24') for f in c.decode(video=0)]


def sound(path):
    with av.open(str(path)) as c: return [(p.pts*p.time_base, bytes(p)) for p in c.demux(audio=0) if p.size]
