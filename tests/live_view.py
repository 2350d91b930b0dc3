"Show the live view on a virtual display, or in Chromium with a file as its camera, for the tests and tools/docs/screenshots.py."
import os
import shutil
import subprocess
from contextlib import contextmanager

import cv2
import nbformat
import numpy as np
from browser import chromium, lab
from conftest import CLIP


@contextmanager
def display(folder, size=(1000, 700)):
    "Yield the name of a display and a function that returns a screenshot, BGR uint8."
    r, w = os.pipe()
    # without -noreset the server resets whenever its last client leaves, and refuses new ones meanwhile
    server = subprocess.Popen(['Xvfb', '-displayfd', str(w), '-screen', '0', f'{size[0]}x{size[1]}x24', '-fbdir', str(folder), '-noreset'],
                              pass_fds=[w], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(w)

    def screenshot():
        # Xvfb stores the display in a file, in xwd format
        data = (folder/'Xvfb_screen0').read_bytes()
        header = np.frombuffer(data[:100], '>u4')
        rows = np.frombuffer(data, np.uint8, offset=int(header[0] + 12*header[19]), count=int(header[12]*header[5]))
        return rows.reshape(header[5], -1, 4)[:, :header[4], :3].copy()
    try:
        with os.fdopen(r) as f: yield f':{f.readline().strip()}', screenshot
    finally:
        server.terminate()
        server.wait(10)


def camera_file(path, imgs):
    "Write a file that Chromium plays as its camera. Return `path`."
    path.write_bytes(b''.join(cv2.imencode('.jpg', img)[1].tobytes() for img in imgs))
    return path


CELLS = ['''from bgblur.live import live
here = live('testclip.mp4')
here''', '''from bgblur.live import live
browser = live('browser', size=(400, 300))
browser''']


# JavaScript that records the first images drawn by the live widgets, and the opened cameras
WATCH = '''() => {
    const draw = CanvasRenderingContext2D.prototype.drawImage;
    window.drawn = [];
    window.opened = [];
    CanvasRenderingContext2D.prototype.drawImage = function(...args) {
        draw.apply(this, args);
        if (this.canvas.isConnected && this.canvas.className === 'bgblur-live' && drawn.length < 40) drawn.push(this.canvas.toDataURL());
    };
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async constraints => {
        const stream = await open(constraints);
        opened.push(...stream.getTracks());
        return stream;
    };
}'''


@contextmanager
def live_notebook(folder, imgs, width=1300, height=900):
    "Yield a page with a notebook of `CELLS` in JupyterLab. Chromium plays `imgs` as its camera."
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    nb.metadata.kernelspec = {'name': 'python3', 'display_name': 'python3', 'language': 'python'}
    nbformat.write(nb, folder/'live.ipynb')
    shutil.copy(CLIP, folder)
    clip = camera_file(folder/'camera.mjpeg', imgs)
    fake = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', f'--use-file-for-fake-video-capture={clip}']
    with lab(folder) as (_, url), chromium(width, height, fake) as page:
        page.add_init_script(f'({WATCH})()')
        page.goto(f'{url}/tree/live.ipynb')
        page.wait_for_function('() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === "idle"', timeout=240_000)
        yield page


def live_widget(page, n):
    "Return the canvas of the `n`th widget, and the box around it."
    canvas = page.locator('canvas.bgblur-live').nth(n)
    canvas.wait_for(timeout=180_000)
    return canvas, canvas.locator('xpath=ancestor::div[contains(@class, "bgblur-live-widget")][1]')
