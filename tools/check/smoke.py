"""Run the commands that a new user runs first: python tools/check/smoke.py [--json FILE]

This uses the bgblur of the Python that runs this file, in a temporary folder, and needs only the base install. It prints
what failed and the versions of all libraries. The exit code is 1 if a command fails.
"""
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import requires, version
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[2]/'sample_data'
# name: options, and the file that the command must write
COMMANDS = {
    'video': (['video', 'clip.mp4', '-o', 'blurred.mp4', '-q'], 'blurred.mp4'),
    'image': (['image', 'rocket.jpg', '-o', 'image.jpg', '-q'], 'image.jpg'),
    'video, no background': (['video', 'clip.mp4', '-b', 'none', '-o', 'cutout.mov', '-q'], 'cutout.mov'),
    'live': (['live', '--source', 'clip.mp4', '--to', 'none', '--seconds', '3', '-q', '--no-remember'], None),
    'models': (['models'], None),
    'help': (['--help'], None),
}


def dependencies():
    "Return the packages of the base install with their versions."
    names = [re.match(r'[\w.-]+', r)[0] for r in requires('bgblur') if 'extra ==' not in r]
    return {name: version(name) for name in names}


def run(options, result, folder):
    "Run `bgblur options`. Return what is wrong, or an empty text."
    command = shutil.which('bgblur', path=Path(sys.executable).parent)
    done = subprocess.run([command, *options], cwd=folder, capture_output=True, text=True)
    if done.returncode: return f'exit code {done.returncode}: {done.stderr.strip()[-600:]}'
    if 'Traceback' in done.stderr or 'Warning' in done.stderr: return done.stderr.strip()[-600:]
    return '' if not result or (folder/result).stat().st_size > 1000 else f'{result} is empty'


def main():
    failures = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder/'clip.mp4').write_bytes((SAMPLES/'testclip.mp4').read_bytes())
        (folder/'rocket.jpg').write_bytes((SAMPLES/'rocket.jpg').read_bytes())
        for name, (options, result) in COMMANDS.items():
            if wrong := run(options, result, folder): failures[name] = wrong
            print(f'{"FAILED" if wrong else "ok":8} bgblur {" ".join(options)}', flush=True)
            if wrong: print(wrong)
    found = {'python': platform.python_version(), **dependencies()}
    print(', '.join(f'{k} {v}' for k, v in found.items()))
    if '--json' in sys.argv: Path(sys.argv[sys.argv.index('--json') + 1]).write_text(json.dumps({'versions': found, 'failures': failures}))
    return 1 if failures else 0


if __name__ == '__main__': sys.exit(main())
