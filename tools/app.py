"""Serve the explorer as a web page, to this computer alone: python tools/app.py [PORT]

A page has a kernel of its own, which ends half a minute after the page is closed.
"""
import os
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent/'app'/'bgblur.ipynb'
OPTIONS = [
    '--no-browser', '--Voila.ip=127.0.0.1', '--theme=light', '--show-margins',
    # Voila 0.5 asks for the kernel's end when a page is closed, and is refused (it sends no XSRF token). So kernels that
    # no page is connected to are looked for. An open page keeps its kernel, however long nothing happens.
    '--MappingKernelManager.cull_idle_timeout=25', '--MappingKernelManager.cull_interval=5',
    # an upload comes in one message, which may have 10 MB if nobody says more
    "--Voila.tornado_settings={'websocket_max_message_size': 100000000}",
]

if __name__ == '__main__':
    port = sys.argv[1] if len(sys.argv) > 1 else '8866'
    print(f'Open http://127.0.0.1:{port}/ in a browser; Ctrl-C ends it.', flush=True)
    os.execv(sys.executable, [sys.executable, '-m', 'voila', str(PAGE), f'--port={port}', '--Voila.port_retries=0', *OPTIONS])
