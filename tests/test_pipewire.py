"The camera of `bgblur live --to pipewire`, with a PipeWire of our own."
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import cv2
import numpy as np
import pytest
from browser import chromium, server
from conftest import BIN, CLIP, bgblur, one_sentence, until
from live_view import display

TOOLS = 'gst-launch-1.0', 'pw-dump', 'pipewire', 'wireplumber', 'dbus-daemon'
PORTAL = '/usr/libexec/xdg-desktop-portal'
needs_pipewire = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason='needs PipeWire and GStreamer')
LIVE = 'live', '--source', CLIP, '--to', 'pipewire', '--no-remember'


def ended(processes):
    for process in processes[::-1]: process.terminate()
    for process in processes: process.wait(20)


@contextmanager
def desktop(folder, monkeypatch):
    "Set the environment of a desktop session with PipeWire. Yield a function that starts a program in it."
    for name, value in {'XDG_RUNTIME_DIR': folder, 'HOME': folder, 'XDG_CURRENT_DESKTOP': 'GNOME'}.items(): monkeypatch.setenv(name, str(value))
    running = []

    def start(*command, **kwargs):
        running.append(subprocess.Popen([str(c) for c in command], **{'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL} | kwargs))
        return running[-1]
    try:
        bus = start('dbus-daemon', '--session', '--nofork', '--print-address', stdout=subprocess.PIPE, text=True)
        monkeypatch.setenv('DBUS_SESSION_BUS_ADDRESS', bus.stdout.readline().strip())
        start('pipewire')
        until((folder/'pipewire-0').exists)
        start('wireplumber')
        yield start
    finally: ended(running)


def node(name): return f'"node.name": "{name}"' in subprocess.run(['pw-dump'], capture_output=True, text=True).stdout


@needs_pipewire
def test_viewer_gets_blurred_frames_and_wakes_the_camera(tmp_path, monkeypatch):
    with desktop(tmp_path, monkeypatch) as start, open(tmp_path/'log', 'w+') as log:
        live = start(BIN/'bgblur', *LIVE, stderr=log)
        name = f'bgblur-{live.pid}'
        until(lambda: node(name))
        until(lambda: 'no viewers' in (tmp_path/'log').read_text())
        raw = tmp_path/'raw'
        viewer = start('gst-launch-1.0', '-q', *f'pipewiresrc num-buffers=30 target-object={name}'.split(),
                       *f'! video/x-raw,format=YUY2 ! filesink location={raw}'.split())
        viewer.wait(120)
        live.send_signal(signal.SIGINT)    # a clean end, without an error of GStreamer
        assert live.wait(60) == 0, (tmp_path/'log').read_text()
        assert not node(name)
        h, w = cv2.VideoCapture(str(CLIP)).read()[1].shape[:2]
        frames = [cv2.cvtColor(f, cv2.COLOR_YUV2BGR_YUY2) for f in np.fromfile(raw, np.uint8).reshape(-1, h, w, 2)]
        # the map on the left is blurred, and the face is not grey
        sharp = cv2.Laplacian(cv2.VideoCapture(str(CLIP)).read()[1][60:140, 10:90], cv2.CV_32F).std()
        assert len(frames) == 30 and np.ptp(frames[-1], axis=-1).mean() > 10
        assert all(cv2.Laplacian(f[60:140, 10:90], cv2.CV_32F).std() < sharp/3 for f in frames)


@needs_pipewire
def test_without_pipewire_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_RUNTIME_DIR', str(tmp_path))
    one_sentence(bgblur(*LIVE, timeout=120), 'PipeWire is not running', 'systemctl --user start')


def test_without_gstreamer_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    one_sentence(bgblur(*LIVE, timeout=120), 'gst-launch-1.0', 'apt install', 'dnf install')


# the portal tells Chromium about the camera a moment after Chromium has asked for the first time
SEE = '''async () => {
    const wait = ms => new Promise(done => setTimeout(done, ms));
    async function open() {
        for (let i = 0; i < 120; i++) {
            try { return await navigator.mediaDevices.getUserMedia({ video: true }); } catch (e) { await wait(500); }
        }
    }
    const stream = await Promise.race([open(), wait(90_000)]);
    const video = Object.assign(document.createElement('video'), { srcObject: stream, muted: true });
    document.body.append(video);
    await video.play();
    return [stream.getVideoTracks()[0].label, video.videoWidth, video.videoHeight];
}'''


@needs_pipewire
@pytest.mark.skipif(not os.path.exists(PORTAL), reason='needs xdg-desktop-portal and its GTK part')
def test_chromium_lists_the_camera(tmp_path, monkeypatch):
    "Chromium asks the portal, which asks the user. Here, the permission is already stored."
    with ExitStack() as stack:
        monkeypatch.setenv('DISPLAY', stack.enter_context(display(tmp_path))[0])
        start = stack.enter_context(desktop(tmp_path, monkeypatch))
        start(PORTAL)
        allow = ['gdbus', 'call', '--session', '--dest', 'org.freedesktop.impl.portal.PermissionStore', '--object-path',
                 '/org/freedesktop/impl/portal/PermissionStore', '--method', 'org.freedesktop.impl.portal.PermissionStore.SetPermission',
                 'devices', 'true', 'camera', '', "['yes']"]
        until(lambda: subprocess.run(allow, capture_output=True).returncode == 0)
        portal = ['gdbus', 'introspect', '--session', '--dest', 'org.freedesktop.portal.Desktop', '--object-path', '/org/freedesktop/portal/desktop']
        until(lambda: 'portal.Camera' in subprocess.run(portal, capture_output=True, text=True).stdout)
        live = start(BIN/'bgblur', *LIVE)
        until(lambda: node(f'bgblur-{live.pid}'))
        with server([sys.executable, '-m', 'http.server', '--bind', '127.0.0.1', '-d', tmp_path, '']) as (_, url), \
                chromium(options=['--enable-features=WebRtcPipeWireCamera', '--use-fake-ui-for-media-stream']) as page:
            page.goto(url)
            h, w = cv2.VideoCapture(str(CLIP)).read()[1].shape[:2]
            assert page.evaluate(SEE) == ['bgblur', w, h]
