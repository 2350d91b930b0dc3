"""Try bgblur with the newest libraries: python tools/check/outdated.py [EXTRA ...]

This installs bgblur with the newest versions that settings.ini allows into a temporary environment, runs tools/check/smoke.py
there, and lists newer versions that the bounds exclude. It also installs the named extras, such as `notebooks`, and imports
a module of each. The exit code is 1 if something fails.
"""
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = {'notebooks': 'bgblur.explore', 'learner': 'bgblur.learner', 'live': 'pyvirtualcam'}


def excluded(python):
    "Return a line for each package of which the bounds exclude a newer version."
    listed = subprocess.run([python, '-m', 'pip', 'list', '--outdated', '--format', 'json'], capture_output=True, text=True, check=True)
    return [f"{p['name']} {p['version']}, newest {p['latest_version']}" for p in json.loads(listed.stdout)
            if p['name'] not in ('bgblur', 'pip', 'setuptools')]


def main(extras):
    "Return 0 if everything works with the newest libraries, else 1."
    if unknown := {*extras} - {*MODULES}: sys.exit(f"There is no extra {', '.join(sorted(unknown))}. Use {', '.join(MODULES)}.")
    with tempfile.TemporaryDirectory(prefix='bgblur-') as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder)/('Scripts' if os.name == 'nt' else 'bin')/'python'
        what = f'{ROOT}[{",".join(extras)}]' if extras else str(ROOT)
        subprocess.run([python, '-m', 'pip', 'install', '-q', '--upgrade', '--upgrade-strategy', 'eager', what], check=True)
        failed = subprocess.run([python, ROOT/'tools'/'check'/'smoke.py'], cwd=folder).returncode != 0
        for extra in extras:
            done = subprocess.run([python, '-P', '-W', 'error', '-c', f'import {MODULES[extra]}'], cwd=folder)
            print(f'{"FAILED" if done.returncode else "ok":8} import {MODULES[extra]}')
            failed |= done.returncode != 0
        for line in excluded(python): print('excluded:', line)
    return int(failed)


if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
