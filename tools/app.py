"""Serve the explorer as a web page, to this computer alone: python tools/app.py [PORT]

A page has a kernel of its own, which ends half a minute after the page is closed. SECURITY.md says what is promised.
"""
import os
import secrets
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent/'app'/'bgblur.ipynb'
# what the page may load: nothing from elsewhere (Voila would have icons from a CDN)
POLICY = ("default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' blob:; "
          "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob: ws://127.0.0.1:{port} ws://localhost:{port}; "
          "frame-ancestors 'none'; form-action 'self'; base-uri 'self'")


def options(port):
    settings = {
        # an upload comes in one message; the page sends 30 MB at most, see `App`
        'websocket_max_message_size': 32_000_000,
        # a name of another server that leads here is that of a stranger's page; Voila would answer to any
        'allow_remote_access': False,
        'headers': {'Content-Security-Policy': POLICY.format(port=port), 'Referrer-Policy': 'no-referrer', 'X-Content-Type-Options': 'nosniff'},
    }
    return [
        f'--port={port}', '--Voila.port_retries=0', '--no-browser', '--Voila.ip=127.0.0.1', '--theme=light', '--show-margins',
        # other users of this computer, and pages from elsewhere, do not know the token
        '--token',
        # Voila 0.5 asks for the kernel's end when a page is closed, and is refused (it sends no XSRF token). So kernels that
        # no page is connected to are looked for. An open page keeps its kernel, however long nothing happens.
        '--MappingKernelManager.cull_idle_timeout=25', '--MappingKernelManager.cull_interval=5',
        f'--Voila.tornado_settings={settings}',
    ]


if __name__ == '__main__':
    port = sys.argv[1] if len(sys.argv) > 1 else '8866'
    token = os.environ.setdefault('JUPYTER_TOKEN', secrets.token_hex(16))
    print(f'Open http://127.0.0.1:{port}/?token={token} in a browser; Ctrl-C ends it.', flush=True)
    os.execv(sys.executable, [sys.executable, '-m', 'voila', str(PAGE), *options(port)])
