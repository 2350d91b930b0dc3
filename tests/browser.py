"Open JupyterLab or the page of `bgblur app` in Debian's Chromium, for the tests and tools/docs/screenshots.py."
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import nbformat
import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent


@contextmanager
def server(command, path='/', output=subprocess.DEVNULL, **env):
    "Run `command` with a free port after its last argument. Yield the process and the address of `path` once it responds."
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    process = subprocess.Popen([*map(str, command[:-1]), f'{command[-1]}{port}'], stdout=output, stderr=output,
                               env=os.environ | {k: str(v) for k, v in env.items()}, start_new_session=True)
    try:
        for _ in range(240):
            try: urlopen(f'http://127.0.0.1:{port}/static/favicon.ico', timeout=60).close()
            except HTTPError: break    # any response will do here
            except (URLError, ConnectionError): time.sleep(.5)
            else: break
            assert process.poll() is None, f'{command} ended with {process.returncode}'
        yield process, f'http://127.0.0.1:{port}{path}'
    finally:
        process.terminate()
        try: process.wait(20)
        except subprocess.TimeoutExpired: pass
        # the server can be a child of `make`, and may live longer
        with suppress(ProcessLookupError): os.killpg(process.pid, signal.SIGKILL)
        process.wait()


EXPLORE = """from bgblur import explore
ex = explore({clip!r}).set(start=4., frame=30)
ex"""


def notebooks(folder):
    "Write a notebook with an explorer to `folder`. Return `folder`."
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(EXPLORE.format(clip=str(ROOT/'sample_data'/'testclip.mp4')))])
    nb.metadata['kernelspec'] = {'name': 'python3', 'display_name': 'python3', 'language': 'python'}
    nbformat.write(nb, folder/'explore.ipynb')
    return folder


def lab(folder, **env):
    "Start JupyterLab in `folder`, without a token and without the question about Jupyter's news. Return a context as `server` does."
    news = folder/'.lab'/'@jupyterlab'/'apputils-extension'/'notification.jupyterlab-settings'
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false"}')
    env = {'JUPYTERLAB_SETTINGS_DIR': folder/'.lab', 'JUPYTERLAB_WORKSPACES_DIR': folder/'.workspaces'} | env
    return server([sys.executable, '-m', 'jupyter', 'lab', '--allow-root', '--no-browser', '--ip=127.0.0.1', '--IdentityProvider.token=',
                   '--LabApp.expose_app_in_browser=True', f'--ServerApp.root_dir={folder}', '--port='], '/lab', **env)


def app(**kwargs):
    "Start the page of `bgblur app`. Return a context as `server` does."
    return server([Path(sys.executable).parent/'bgblur', 'app', '--no-browser', '--port='], '/?token=for-the-test', JUPYTER_TOKEN='for-the-test', **kwargs)


@contextmanager
def chromium(width=1300, height=900, options=()):
    "Yield a page in Chromium."
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox', '--disable-background-networking', *options])
        page = browser.new_page(viewport={'width': width, 'height': height})
        yield page
        browser.close()


SHOW_CELL = '''start => {
    const nb = jupyterapp.shell.currentWidget.content;
    const i = nb.widgets.findIndex(w => w.model.sharedModel.source.startsWith(start));
    nb.activeCellIndex = i;
    return nb.scrollToItem(i, 'start');
}'''


def run_cell(page, n):
    "Run cell `n` of the open notebook."
    page.evaluate('n => { jupyterapp.shell.currentWidget.content.activeCellIndex = n; jupyterapp.commands.execute("notebook:run-cell"); }', n)


def run_explorer(page, url):
    "Run the notebook of `notebooks` in JupyterLab, and wait for the explorer. Return a list that collects errors of the console."
    errors = []
    page.on('console', lambda m: errors.append(m.text) if m.type == 'error' else None)
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(f'{url}/tree/explore.ipynb')
    page.wait_for_function('() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === "idle"', timeout=240_000)
    page.evaluate('() => jupyterapp.shell.collapseLeft()')
    errors.clear()      # of JupyterLab's start
    page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
    page.locator('.bgblur-player .run').first.wait_for(timeout=180_000)     # the strip comes last
    page.evaluate(SHOW_CELL, 'from bgblur')
    return errors


def explorer(page):
    "Return the explorer on the page, and its canvas."
    box = page.locator('.bgblur-side').first
    return box, box.locator('canvas.picture')


def halves(canvas):
    "Return the left and the right half of the image on a canvas, RGB uint8."
    rgba = canvas.evaluate('c => [c.width, c.height, ...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]')
    img = np.uint8(rgba[2:]).reshape(rgba[1], rgba[0], 4)[..., :3]
    return img[:, :rgba[0]//2 - 10], img[:, rgba[0]//2 + 10:]


def move(box, name, key='PageUp', times=4):
    "Press `key` on the slider `name` several times."
    handle = box.locator('.widget-slider', has_text=name).first.locator('.noUi-handle')
    handle.focus()
    for _ in range(times): handle.press(key)


def open_page(page, url):
    "Open the page of `bgblur app`. Return a list that collects the errors of its console."
    errors = []
    page.on('console', lambda m: errors.append(m.text) if m.type == 'error' else None)
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(url)
    page.get_by_role('button', name='Choose images or videos').wait_for(timeout=180_000)
    return errors


def upload(page, *paths):
    "Choose files on the page of `bgblur app`."
    with page.expect_file_chooser() as chooser: page.get_by_role('button', name='Choose images or videos').click()
    chooser.value.set_files([str(p) for p in paths])
