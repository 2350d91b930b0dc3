"""Serve the explorer as a web page to this computer only: python tools/app.py [PORT]

Each page has its own kernel, which ends half a minute after the page is closed. SECURITY.md lists the guarantees.
"""
import os
import secrets
import sys
from pathlib import Path

from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent.parent/'app'
# the page may load nothing from other servers
POLICY = ("default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' blob:; "
          "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob: ws://127.0.0.1:{port} ws://localhost:{port}; "
          "frame-ancestors 'none'; form-action 'self'; base-uri 'self'")


def config(port):
    "Return the configuration of Voila for this port."
    c = Config()
    c.Voila.ip, c.Voila.port, c.Voila.port_retries, c.Voila.open_browser = '127.0.0.1', port, 0, False
    c.Voila.log_level = 'ERROR'     # Voila would print an address without the token, which does not work
    # the template in app/voila, because Voila's own loads icons from a CDN
    c.VoilaConfiguration.template, c.VoilaConfiguration.theme = 'bgblur', 'light'
    # other users of this computer, and other web pages, do not have the token
    c.Voila.auto_token = True
    c.Voila.tornado_settings = {
        # an upload is one message, and the page sends at most 30 MB (see `bgblur.app.App`)
        'websocket_max_message_size': 32_000_000,
        # refuse requests for other host names, which come from other web pages (DNS rebinding)
        'allow_remote_access': False,
        'ws_ping_timeout': 30_000,     # in ms; Jupyter's default is longer than tornado allows and causes a warning
        'headers': {'Content-Security-Policy': POLICY.format(port=port), 'Referrer-Policy': 'no-referrer', 'X-Content-Type-Options': 'nosniff'},
    }
    if os.name == 'posix': c.KernelManager.transport = 'ipc'     # files in a private folder instead of open ports
    # Voila 0.5 cannot shut down the kernel of a closed page, because it sends no XSRF token. So we look for kernels
    # without a page. An open page keeps its kernel, even if it is idle.
    c.MappingKernelManager.cull_idle_timeout, c.MappingKernelManager.cull_interval = 25, 5
    return c


if __name__ == '__main__':
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8866
    token = os.environ.setdefault('JUPYTER_TOKEN', secrets.token_hex(16))
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(2**27))     # as the command does
    os.environ['JUPYTER_PATH'] = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get('JUPYTER_PATH')]))
    print(f'Open http://127.0.0.1:{port}/?token={token} in a browser; press Ctrl-C to stop it.', flush=True)
    from voila.app import Voila     # imported here because it reads JUPYTER_PATH
    Voila.launch_instance([str(FOLDER/'bgblur.ipynb')], config=config(port))
