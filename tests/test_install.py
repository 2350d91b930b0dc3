"From nothing: `make demo` in a fresh copy, and `pip install .` in an empty environment without PyTorch."
import subprocess
import sys
import venv

import pytest
from conftest import BIN, ROOT, copy_project, run


@pytest.fixture(scope='session')
def demo(tmp_path_factory):
    "A fresh copy of the project in which `make demo` has run"
    copy = copy_project(tmp_path_factory.mktemp('clone'))
    result = run('make', 'demo', cwd=copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '250/250' in result.stderr
    return copy


@pytest.fixture(scope='session')
def empty_env(tmp_path_factory):
    "Python of an environment that holds `pip install .` and nothing else"
    env = tmp_path_factory.mktemp('env')
    venv.create(env, with_pip=True)
    copy = copy_project(tmp_path_factory.mktemp('source'))
    result = run(env/'bin'/'pip', 'install', '-q', copy)
    assert result.returncode == 0, result.stderr
    return env/'bin'/'python'


def test_demo_makes_video_and_stills(demo):
    assert (demo/'output'/'testclip-blurred.mp4').stat().st_size > 50_000
    assert len(list((demo/'output'/'testclip-blurred-stills').glob('*.jpg'))) == 5


def test_base_install_is_small(empty_env):
    size = int(run('du', '-sm', empty_env.parent.parent).stdout.split()[0])
    assert size < 520


# pyvirtualcam is under the GPL: nobody gets it without asking for it
@pytest.mark.parametrize('package', ['torch', 'fastai', 'jupyterlab', 'matplotlib', 'anywidget', 'pyvirtualcam'])
def test_base_install_lacks(empty_env, package):
    assert 'ModuleNotFoundError' in run(empty_env, '-c', f'import {package}').stderr


def test_imports_and_blurs_without_torch(empty_env, tmp_path):
    code = '''
from bgblur.blur import masked_blur
from bgblur.pipeline import Blurrer
import bgblur.live
import numpy as np
assert Blurrer()(np.zeros((90, 160, 3), np.uint8)).shape == (90, 160, 3)
assert masked_blur(np.zeros((90, 160, 3), np.uint8), np.ones((360, 640))).shape == (360, 640, 3)
'''
    result = run(empty_env, '-c', code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('trust', [[], ['--trust']])
def test_learner_without_fastai_names_the_extra(empty_env, trust, tmp_path):
    result = run(empty_env.parent/'bgblur', 'video', ROOT/'sample_data'/'testclip.mp4', '-o', tmp_path/'a.mp4',
                 '--model', ROOT/'sample_data'/'models'/'person.pkl', *trust)
    assert result.returncode == 2 and "pip install 'bgblur[learner]'" in result.stderr
    assert result.stderr.count('\n') == 1


def test_weights_are_installed_with_their_card(empty_env, tmp_path):
    code = "from importlib.resources import files; print(*sorted(p.name for p in (files('bgblur')/'weights').iterdir()))"
    assert run(empty_env, '-c', code, cwd=tmp_path).stdout.split() == ['README.md', 'person.onnx', 'person.pt']


# Chromium is asked last: it plays what `make demo` made.

@pytest.fixture
def page(demo):
    "A page in Debian's Chromium, served from the folder of the demo's result"
    from playwright.sync_api import sync_playwright
    server = subprocess.Popen([sys.executable, '-u', '-m', 'http.server', '0', '--bind', '127.0.0.1'], cwd=demo, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    port = server.stdout.readline().split(' port ')[1].split()[0]
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox', '--disable-background-networking'])
            page = browser.new_page()
            page.goto(f'http://127.0.0.1:{port}/sample_data/README.md')
            yield page
            browser.close()
    finally: server.kill()


FRAME_AT = '''async ([src, t]) => {
    const v = document.createElement('video'); v.muted = true; v.src = src;
    await new Promise((ok, no) => { v.onloadeddata = ok; v.onerror = () => no(v.error.message); });
    v.currentTime = t;
    await new Promise(ok => { v.onseeked = ok; });
    const c = document.createElement('canvas'); c.width = v.videoWidth; c.height = v.videoHeight;
    c.getContext('2d').drawImage(v, 0, 0);
    return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data];
}'''
PLAYS = '''async src => {
    const v = document.createElement('video'); v.muted = true; v.src = src;
    await v.play();
    await new Promise(ok => setTimeout(ok, 1000));
    return v.currentTime;
}'''


def test_chromium_plays_the_demo(page):
    assert page.evaluate(PLAYS, '/output/testclip-blurred.mp4') > .3


def test_person_sharp_background_blurred_in_chromium(page):
    import cv2
    import numpy as np

    def detail(src, area):
        img = np.uint8(page.evaluate(FRAME_AT, [src, 4.02])).reshape(300, 400, 4)
        return cv2.Laplacian(cv2.cvtColor(img, cv2.COLOR_RGBA2GRAY)[area], cv2.CV_32F).std()

    face, wall_map = np.s_[110:200, 165:230], np.s_[60:190, 5:75]
    before, after = '/sample_data/testclip.mp4', '/output/testclip-blurred.mp4'
    assert detail(after, face) > .8*detail(before, face)
    assert detail(after, wall_map) < .4*detail(before, wall_map)
