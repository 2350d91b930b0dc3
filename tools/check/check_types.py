"""Check the types of the package with mypy: python tools/check/check_types.py [OPTIONS OF MYPY]

mypy does not know `@patch`, so it reads a copy of the package in which the patched methods are in their classes. The
configuration is in mypy.ini."""
import re
import subprocess
import sys
from pathlib import Path

from merge_patches import merged

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT/'.mypy_cache'


def make_copy(
    where,      # folder; the copy becomes its subfolder `bgblur`
):
    "Write the merged package. Return the original line numbers of each file by its relative path."
    numbers = {}
    for p in sorted((ROOT/'bgblur').rglob('*.py')):
        if p.name == '_modidx.py': continue
        new = where/p.relative_to(ROOT)
        text,numbers[new.relative_to(where).as_posix()] = merged(p.read_text(encoding='utf-8'))
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding='utf-8')
    for p in where.rglob('*.py'):
        if p.relative_to(where).as_posix() not in numbers: p.unlink()
    return numbers


def main():
    where = CACHE/'source'
    numbers = make_copy(where)
    command = [sys.executable, '-m', 'mypy', '--config-file', ROOT/'mypy.ini', '--cache-dir', CACHE, *sys.argv[1:], 'bgblur']
    result = subprocess.run([str(a) for a in command], cwd=where, capture_output=True, text=True)
    def original(m): return f'{m[1]}:{numbers[m[1]][int(m[2])]}'
    text = result.stdout.replace('\\', '/')
    print(re.sub(r'^(bgblur[\w/]*\.py):(\d+)', original, text, flags=re.M) + result.stderr, end='')
    return result.returncode


if __name__ == '__main__': sys.exit(main())
