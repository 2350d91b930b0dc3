"`bgblur bench`, `make bench`, and whether what the project says about speed is what was measured."
import json
import os

import nbformat
import pytest
from conftest import BIN, ROOT, bgblur, run, write_clip

MEASURED = json.loads((ROOT/'nbs'/'bench.json').read_text())


@pytest.fixture
def there(tmp_path, frames):
    "A folder with a small clip, with sound, and things that are no clips; and another for temporary files"
    (tmp_path/'tmp').mkdir()
    (tmp_path/'text.mp4').write_text('This is no video.\n'*100)
    (tmp_path/'folder.mp4').mkdir()
    write_clip(tmp_path/'me.mp4', [f[:90, :160] for f in frames[:12]])
    return tmp_path


def in_folder(folder, *args):
    env = {**os.environ, 'TMPDIR': str(folder/'tmp')}
    return bgblur('bench', *args, cwd=folder, env=env)


def test_bench_prints_tables_and_leaves_nothing(there):
    def files(): return {p: p.stat().st_mtime_ns for p in there.rglob('*') if p.name != 'tmp'}
    before = files()
    result = in_folder(there, 'me.mp4', '--frames', 20, '--rounds', 2)
    assert result.returncode == 0, result.stderr
    # the clip has 12 frames, so it was repeated
    assert result.stdout.startswith('me.mp4: 20 frames of 160×90, 2 times each')
    first = [line.split('|')[1].strip() for line in result.stdout.split('\n') if line.startswith('|')]
    assert {'bgblur', 'decode + encode alone', 'decode', 'net', 'matte', 'background, blend', 'encode', 'all'} <= set(first)
    assert files() == before


@pytest.mark.parametrize('src, word', [('missing.mp4', 'no file'), ('text.mp4', 'not a video'), ('folder.mp4', 'folder')])
def test_bad_clip(there, src, word):
    result = in_folder(there, src)
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.startswith('bgblur: ') and result.stderr.count('\n') == 1 and word in result.stderr
    assert not list((there/'tmp').iterdir())


@pytest.mark.parametrize('args, word', [(['--frames', '0'], '--frames'), (['--rounds', '0'], '--rounds')])
def test_bad_arguments(there, args, word):
    result = in_folder(there, 'me.mp4', *args)
    assert result.returncode == 2 and word in result.stderr and 'greater than' in result.stderr


def test_make_bench_measures_each_part(tmp_path):
    old = {'steps': {'floor': [1.]}}
    (tmp_path/'a.json').write_text(json.dumps(old))
    result = run(BIN/'python', ROOT/'tools'/'bench.py', '--only', 'sizes,memory', '--sizes', '160x90', '--ways', 'bgblur,floor',
                 '--rounds', 2, '--frames', 10, '--at', '5,12', '--clips', tmp_path/'clips', '--json', tmp_path/'a.json')
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path/'a.json').read_text())
    assert found['steps'] == old['steps']       # what was not measured again stays
    runs = found['sizes']['160x90']['runs']
    assert {way: [r['frames'] for r in rs] for way, rs in runs.items()} == {'bgblur': [10, 10], 'floor': [10, 10]}
    assert list(found['memory']) == ['5', '12'] and found['memory']['5'] <= found['memory']['12']


@pytest.mark.parametrize('name', ['07_speed', 'index'])
def test_tables_are_what_was_measured(name, monkeypatch):
    "Cells that only show tables show those of bench.json, not of an earlier one."
    monkeypatch.chdir(ROOT/'nbs')
    nb, space = nbformat.read(f'{name}.ipynb', 4), {'measured': MEASURED}
    exec('import json; from pathlib import Path; import numpy as np; from bgblur.speed import *; from IPython.display import Markdown', space)
    cells = [c for c in nb.cells if c.source.startswith('#| echo: false')]
    assert cells
    for c in cells:
        *before, last = c.source.rstrip().split('\nMarkdown(')
        exec('\n'.join(before), space)
        assert eval(f'Markdown({last}', space).data == ''.join(c.outputs[0].data['text/markdown'])
