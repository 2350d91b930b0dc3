"""Test `make demo` in a fresh copy of the project. Build the wheel and the source distribution once, and install both in
empty environments, one per supported Python."""
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from functools import cache
from pathlib import Path
from statistics import median
from zipfile import ZipFile

import pytest
from conftest import ROOT, copy_project, one_sentence, run, settings

PYTHONS = ['3.11', '3.12', '3.13']     # the versions in README
OWN = '%d.%d' % sys.version_info[:2]


@pytest.fixture(scope='module', autouse=True)
def only_what_is_installed():
    "PYTHONPATH would replace the installed package."
    with pytest.MonkeyPatch.context() as m:
        m.delenv('PYTHONPATH', raising=False)
        yield


@cache
def interpreter(version):
    "Return the path of a Python of this version, from PATH or pyenv, with venv and pip. Return None if there is none."
    pyenv = Path(os.environ.get('PYENV_ROOT', Path.home()/'.pyenv'))/'versions'
    here = [sys.executable] if version == OWN else []
    check = 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])'
    for python in (*here, shutil.which(f'python{version}'), *sorted(pyenv.glob(f'{version}.*/bin/python'), reverse=True)):
        if python and run(python, '-c', check).stdout.strip() == version: return python


@pytest.fixture(scope='session')
def demo(tmp_path_factory):
    "Return a fresh copy of the project in which `make demo` has run."
    copy = copy_project(tmp_path_factory.mktemp('clone'))
    result = run('make', 'demo', cwd=copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '250 frames' in result.stdout
    return copy


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    "Return a fresh copy of the project."
    return copy_project(tmp_path_factory.mktemp('source'))


@pytest.fixture(scope='module')
def dist(clone, tmp_path_factory):
    "Build the source distribution, and the wheel from it. Return their paths."
    folder = tmp_path_factory.mktemp('dist')
    result = run(sys.executable, '-m', 'build', '--outdir', folder, clone)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return {'wheel': next(folder.glob('*.whl')), 'sdist': next(folder.glob('*.tar.gz'))}


@pytest.fixture(scope='module')
def install(dist, tmp_path_factory):
    """Return a function that installs the wheel or the source distribution and `packages` into an empty environment, and
    returns its Python."""
    envs = []

    @cache
    def made(version, form='wheel', *packages):
        if not (python := interpreter(version)): pytest.skip(f'there is no Python {version} on this machine')
        envs.append(env := tmp_path_factory.mktemp('env'))
        for command in ([python, '-m', 'venv', env], [env/'bin'/'pip', 'install', '-q', *packages, dist[form]]):
            result = run(*command)
            assert result.returncode == 0, result.stderr
        return env/'bin'/'python'
    yield made
    # half a gigabyte each
    for env in envs: shutil.rmtree(env)


@pytest.fixture(scope='module')
def empty_env(install):
    "Return the Python of an environment that contains the wheel and what it requires."
    return install(OWN)


# -- the wheel and the source distribution

def wheel_files(path):
    "Return the content of each file of a wheel by its name."
    with ZipFile(path) as z: return {name: z.read(name) for name in z.namelist()}


def test_pypi_accepts_both(dist):
    result = run(sys.executable, '-m', 'twine', 'check', '--strict', *dist.values())
    assert result.returncode == 0 and result.stdout.count('PASSED') == 2, result.stdout + result.stderr


def test_wheel_contains_the_package_and_nothing_else(dist, clone, capsys):
    found = wheel_files(dist['wheel'])
    source = {p.relative_to(clone).as_posix(): p.read_bytes() for p in (clone/'bgblur').rglob('*') if p.is_file()}
    stubs = {name + 'i' for name, content in source.items() if name.endswith('.py') and b'\n@patch' in content}
    about = {name.split('dist-info/')[1] for name in found if '.dist-info/' in name}
    assert {name for name in found if '.dist-info/' not in name} == {*source, *stubs}
    assert {name: found[name] for name in source} == source
    assert about == {'METADATA', 'RECORD', 'WHEEL', 'entry_points.txt', 'top_level.txt', 'licenses/LICENSE', 'licenses/NOTICE'}
    # some of the files that users need, so that the lists above cannot both lack them
    for name in ('py.typed', 'pipeline.pyi', 'weights/person.onnx', 'page/bgblur.ipynb'): assert f'bgblur/{name}' in found
    with capsys.disabled(): print('\n   ', *(f'{p.name}: {p.stat().st_size/1e6:.2f} MB' for p in dist.values()))


def test_sdist_contains_what_builds_the_wheel_and_nothing_else(dist, clone):
    with tarfile.open(dist['sdist']) as t: found = {m.name.split('/', 1)[1] for m in t if m.isfile()}
    found = {name for name in found if 'egg-info' not in name}
    assert {name for name in found if not name.startswith('bgblur/')} == {
        'PKG-INFO', 'setup.cfg', 'setup.py', 'pyproject.toml', 'settings.ini', 'MANIFEST.in', 'tools/check/merge_patches.py',
        'README.md', 'CHANGELOG.md', 'CITATION.cff', 'LICENSE', 'NOTICE'}
    assert {name for name in found if name.startswith('bgblur/')} == {
        p.relative_to(clone).as_posix() for p in (clone/'bgblur').rglob('*') if p.is_file()}


def test_links_of_the_readme_work_on_pypi(dist):
    text = next(content for name, content in wheel_files(dist['wheel']).items() if name.endswith('METADATA')).decode()
    links = re.findall(r'\]\(([^) ]+)\)', text)
    assert [link for link in links if not link.startswith(('https://', '#'))] == []
    paths = [m[1] for link in links if (m := re.match(r'https://(?:raw\.)?github(?:usercontent)?\.com/bgblur/bgblur/(?:blob/)?v[\d.]+/([^#]+)', link))]
    assert len(paths) > 40 and [p for p in paths if not (ROOT/p).exists()] == []


# -- installed

def smoke(python, folder):
    "Run tools/check/smoke.py. Check that nothing failed, and return the versions."
    result = run(python, ROOT/'tools'/'check'/'smoke.py', '--json', folder/'smoke.json', cwd=folder)
    assert (folder/'smoke.json').exists(), result.stdout + result.stderr
    found = json.loads((folder/'smoke.json').read_text())
    assert found['failures'] == {}
    return found['versions']


def start_time(*command, cwd):
    "Return the median time in milliseconds that a command takes, of 5 runs."
    times = []
    for _ in range(5):
        start = time.perf_counter()
        result = run(*command, cwd=cwd)
        times.append(time.perf_counter() - start)
        assert result.returncode == 0, result.stderr
    return round(median(times)*1000)


@pytest.mark.parametrize('version', PYTHONS)
def test_wheel_on_each_python(install, version, tmp_path, capsys):
    python = install(version)
    versions = smoke(python, tmp_path)
    assert versions['python'].startswith(version)
    starts = {'python': [python, '-c', ''], 'import bgblur': [python, '-c', 'import bgblur'], 'bgblur --help': [python.parent/'bgblur', '--help']}
    with capsys.disabled():
        print('\n   ', *(f'{k} {v}' for k, v in versions.items()))
        print('    start in ms:', ', '.join(f'{name} {start_time(*command, cwd=tmp_path)}' for name, command in starts.items()))


@pytest.mark.parametrize('version', PYTHONS)
def test_sdist_on_each_python(install, dist, version, tmp_path):
    "Pip builds a wheel from it. Its files are those of our wheel, with which all commands are tried above, so one is enough here."
    python = install(version, 'sdist')
    code = 'from importlib.metadata import files; print(*(f"{f},{f.hash.value}" for f in files("bgblur") if f.hash and f.parts[0] == "bgblur"), sep="\\n")'
    installed = run(python, '-c', code, cwd=tmp_path).stdout.split('\n')[:-1]
    record = next(content for name, content in wheel_files(dist['wheel']).items() if name.endswith('RECORD')).decode()
    wheel = [line.rsplit(',', 1)[0].replace('sha256=', '') for line in record.splitlines() if line.startswith('bgblur/')]
    assert sorted(installed) == sorted(wheel) and wheel
    result = run(python.parent/'bgblur', 'video', ROOT/'sample_data'/'testclip.mp4', '-o', tmp_path/'a.mp4', '--duration', '1', cwd=tmp_path)
    assert result.returncode == 0 and '25 frames' in result.stdout, result.stdout + result.stderr


def test_another_opencv_in_the_same_environment(install, tmp_path):
    "All packages of OpenCV contain the folder cv2. With two of them, bgblur says what to do, and that helps."
    python = install(OWN, 'sdist')
    clip, pip = ROOT/'sample_data'/'testclip.mp4', [python, '-m', 'pip']

    def video(): return run(python.parent/'bgblur', 'video', clip, '-o', tmp_path/'a.mp4', '--duration', '1', '-q', '--overwrite')
    assert run(*pip, 'install', '-q', 'opencv-python-headless').returncode == 0
    assert video().returncode == 0
    # without a window, nothing looks for this display
    live = run(python.parent/'bgblur', 'live', '--source', clip, '--seconds', '1', '-q', env={**os.environ, 'DISPLAY': ':12345'})
    one_sentence(live, 'cannot open windows', 'pip uninstall opencv-python opencv-python-headless, then pip install opencv-python')

    assert run(*pip, 'uninstall', '-qy', 'opencv-python-headless').returncode == 0
    one_sentence(video(), 'incomplete', 'pip uninstall opencv-python, then pip install opencv-python')

    assert run(*pip, 'uninstall', '-qy', 'opencv-python').returncode == 0
    one_sentence(video(), 'missing', ': pip install opencv-python')
    assert run(*pip, 'install', '-q', 'opencv-python').returncode == 0
    assert video().returncode == 0


def oldest():
    "Return the requirements of the base install, each with its lower bound."
    pins = [re.fullmatch(r'([\w-]+)>=([\d.]+),<\d+', r) for r in settings()['requirements'].split()]
    assert all(pins), 'each requirement needs a lower bound and an upper one'
    return {m[1]: m[2] for m in pins}


def test_smoke_with_the_oldest_libraries(install, tmp_path):
    "Run on the oldest Python, because the oldest libraries have no wheels for newer ones."
    pins = oldest()
    versions = smoke(install(PYTHONS[0], 'wheel', *(f'{k}=={v}' for k, v in pins.items())), tmp_path)
    for name, version in pins.items(): assert (versions[name] + '.0').startswith(version), versions


def test_demo_makes_video_and_stills(demo):
    assert (demo/'output'/'testclip-blurred.mp4').stat().st_size > 50_000
    assert len(list((demo/'output'/'testclip-blurred-stills').glob('*.jpg'))) == 5


def test_base_install_is_small(empty_env):
    size = int(run('du', '-sm', empty_env.parent.parent).stdout.split()[0])
    assert size < 550


# pyvirtualcam is under the GPL, so it must not be installed unasked
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


@pytest.mark.parametrize('code, extra', [
    ('from bgblur.explore import explore', 'notebooks'), ('import bgblur.learner', 'learner'), ('import bgblur.core.net', 'learner'),
    ('from bgblur.live import live; live("browser")', 'notebooks')])
def test_a_missing_extra_is_named(empty_env, code, extra, tmp_path):
    last = run(empty_env, '-c', code, cwd=tmp_path).stderr.strip().split('\n')[-1]
    assert last.endswith(f"pip install 'bgblur[{extra}]'.")


@pytest.mark.parametrize('module', ['', '.cli', '.video', '.live'])
def test_import_is_silent(empty_env, module, tmp_path):
    result = run(empty_env, '-W', 'error', '-c', f'import bgblur{module}', cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


@pytest.mark.parametrize('module', ['explore', 'learner', 'speed', 'core.net', 'ui.label'])
def test_import_with_extras_is_silent(module, tmp_path):
    result = run(sys.executable, '-W', 'error', '-c', f'import bgblur.{module}', cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_python_m_bgblur_is_the_command(empty_env, tmp_path):
    by_module, by_script = run(empty_env, '-m', 'bgblur', '--version', cwd=tmp_path), run(empty_env.parent/'bgblur', '--version')
    assert by_module.stdout == by_script.stdout and by_module.returncode == 0


def test_help_shows_options_in_the_usual_form(empty_env):
    for command in ([], ['video']):
        shown = run(empty_env.parent/'bgblur', *command, '--help').stdout
        assert '--help' in shown and '<bool>' not in shown and '{' not in shown


@pytest.mark.parametrize('trust', [[], ['--trust']])
def test_learner_without_fastai_names_the_extra(empty_env, trust, tmp_path):
    result = run(empty_env.parent/'bgblur', 'video', ROOT/'sample_data'/'testclip.mp4', '-o', tmp_path/'a.mp4',
                 '--model', ROOT/'sample_data'/'models'/'person.pkl', *trust)
    assert result.returncode == 2 and "pip install 'bgblur[learner]'" in result.stderr
    assert result.stderr.count('\n') == 1


def test_weights_are_installed_with_their_card(empty_env, tmp_path):
    code = "from importlib.resources import files; print(*sorted(p.name for p in (files('bgblur')/'weights').iterdir()))"
    assert run(empty_env, '-c', code, cwd=tmp_path).stdout.split() == ['README.md', 'person.onnx', 'person.pt', 'portrait.onnx']


# -- Chromium plays the result of `make demo`

@pytest.fixture
def page(demo):
    "Yield a page in Chromium, served from the folder in which `make demo` ran."
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

    face, map_area = np.s_[110:200, 165:230], np.s_[60:190, 5:75]
    before, after = '/sample_data/testclip.mp4', '/output/testclip-blurred.mp4'
    assert detail(after, face) > .8*detail(before, face)
    assert detail(after, map_area) < .4*detail(before, map_area)
