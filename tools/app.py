"""Serve the explorer as a web page, to this computer alone: python tools/app.py [PORT]

A page has a kernel of its own, which ends half a minute after the page is closed. SECURITY.md says what is promised.
"""
import os
import secrets
import sys
from pathlib import Path

from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent.parent/'app'
# what the page may load: nothing from elsewhere
POLICY = ("default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' blob:; "
          "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob: ws://127.0.0.1:{port} ws://localhost:{port}; "
          "frame-ancestors 'none'; form-action 'self'; base-uri 'self'")


def config(port):
    c = Config()
    c.Voila.ip, c.Voila.port, c.Voila.port_retries, c.Voila.open_browser = '127.0.0.1', port, 0, False
    c.Voila.log_level = 'ERROR'     # Voila's own lines name an address without the token, which does not work
    # the template in app/voila: Voila's own asks a CDN for icons
    c.VoilaConfiguration.template, c.VoilaConfiguration.theme = 'bgblur', 'light'
    # other users of this computer, and pages from elsewhere, do not know the token
    c.Voila.auto_token = True
    c.Voila.tornado_settings = {
        # an upload comes in one message; the page sends 30 MB at most, see `App`
        'websocket_max_message_size': 32_000_000,
        # a name of another server that leads here is that of a stranger's page; Voila would answer to any
        'allow_remote_access': False,
        'ws_ping_timeout': 30_000,     # in ms; Jupyter's own is longer than tornado allows, which then complains
        'headers': {'Content-Security-Policy': POLICY.format(port=port), 'Referrer-Policy': 'no-referrer', 'X-Content-Type-Options': 'nosniff'},
    }
    if os.name == 'posix': c.KernelManager.transport = 'ipc'     # files in a private folder instead of open ports
    # Voila 0.5 asks for the kernel's end when a page is closed, and is refused (it sends no XSRF token). So kernels that
    # no page is connected to are looked for. An open page keeps its kernel, however long nothing happens.
    c.MappingKernelManager.cull_idle_timeout, c.MappingKernelManager.cull_interval = 25, 5
    return c


if __name__ == '__main__':
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8866
    token = os.environ.setdefault('JUPYTER_TOKEN', secrets.token_hex(16))
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(2**27))     # as the command does
    os.environ['JUPYTER_PATH'] = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get('JUPYTER_PATH')]))
    print(f'Open http://127.0.0.1:{port}/?token={token} in a browser; Ctrl-C ends it.', flush=True)
    from voila.app import Voila     # it reads JUPYTER_PATH
    Voila.launch_instance([str(FOLDER/'bgblur.ipynb')], config=config(port))
