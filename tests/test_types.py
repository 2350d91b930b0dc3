"Test that public code has types and comments, that the types are right, and that lines are short."
import ast
import json
import os
import sys

import pytest
from conftest import ROOT, run
from test_structure import MODULES, NOTEBOOKS, explained_functions, unexplained

LONGEST = 95


def parameters(f):
    "Return the parameters of a function, except `self` and `cls`."
    a = f.args
    return [p for p in (*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg) if p and p.arg not in ('self', 'cls')]


def without_type(module):
    "Return the public parameters and results of a module that have no annotation."
    functions = [*explained_functions(ast.parse(MODULES[module].read_text()))]
    found = [f'{f.name}({p.arg})' for f in functions for p in parameters(f) if not p.annotation]
    return found + [f'{f.name} ->' for f in functions if not f.returns and f.name != '__init__']


DONE = [m for m in MODULES if m != '__main__']


def test_share_of_public_parameters(capsys):
    "All public parameters have a type and a comment."
    counts = {m: sum(len(parameters(f)) for f in explained_functions(ast.parse(MODULES[m].read_text()))) for m in MODULES}
    bare = {m: sum('(' in text for text in without_type(m)) for m in MODULES}
    # the options of a command have help texts, and the base class explains the parameters of its methods
    elsewhere = {f for m in MODULES for f, missing in unexplained(m) if not missing}
    silent = {m: sum(len(missing) for f, missing in unexplained(m) if f not in elsewhere) for m in MODULES if m != 'cli'}
    n = sum(counts.values())
    with capsys.disabled():
        print(f'\n{n} public parameters: {1 - sum(bare.values())/n:.1%} have a type, {1 - sum(silent.values())/n:.1%} have a comment')
    assert [m for m in DONE if bare[m] or silent.get(m)] == []


@pytest.mark.parametrize('module', DONE)
def test_public_functions_have_types(module):
    assert without_type(module) == []


# the types of a command's options contain `Optional`, but some have a name, such as `Output`
@pytest.mark.parametrize('module', [m for m in DONE if m != 'cli'])
def test_default_none_is_a_type(module):
    "A parameter whose default is None says that it may be None."
    wrong = []
    for f in explained_functions(ast.parse(MODULES[module].read_text())):
        a = f.args
        positional = (*a.posonlyargs, *a.args)
        pairs = [*zip(positional[len(positional) - len(a.defaults):], a.defaults), *zip(a.kwonlyargs, a.kw_defaults)]
        for p, default in pairs:
            kind = ast.unparse(p.annotation) if p.annotation else 'None'
            is_none = isinstance(default, ast.Constant) and default.value is None
            if is_none and not any(word in kind for word in ('None', 'Any', 'Optional', 'object')): wrong.append(f'{f.name}({p.arg})')
    assert wrong == []


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_lines_are_short(path):
    "The site and JupyterLab cut longer lines. A web address may be longer."
    cells = [''.join(c['source']) for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']
    assert [line for s in cells for line in s.splitlines() if len(line) > LONGEST and '://' not in line] == []


def test_ruff():
    result = run(sys.executable, '-m', 'ruff', 'check', '--no-cache', 'bgblur', 'nbs', 'tests', 'tools', 'setup.py', cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy():
    result = run(sys.executable, ROOT/'tools'/'check'/'check_types.py')
    assert result.returncode == 0, result.stdout + result.stderr


USE = '''
from bgblur import Blurrer, blur_video
from bgblur.core.frame import BgrFrame
from bgblur.io.reader import VideoReader

blurrer = Blurrer(quality='good')
blurrer.reset()
with VideoReader('me.mp4', start='1') as reader: print(reader.missing)
blur_video('me.mp4', 'out.mp4', stills='5')
BgrFrame('me.jpg').crop(0, 2, 0, 2)
'''


def test_installed_types(tmp_path):
    "A program that uses the installed package gets errors for wrong arguments, and none for methods that `@patch` adds."
    build = tmp_path/'build'
    made = run(sys.executable, 'setup.py', '-q', 'egg_info', '-e', tmp_path, 'build', '-b', build, '--build-lib', build/'lib', cwd=ROOT)
    assert made.returncode == 0 and (build/'lib'/'bgblur'/'py.typed').exists(), made.stderr
    (tmp_path/'use.py').write_text(USE)
    environment = {**os.environ, 'MYPYPATH': str(build/'lib')}
    result = run(sys.executable, '-m', 'mypy', '--config-file', '', '--cache-dir', ROOT/'.mypy_cache'/'installed', '--ignore-missing-imports',
                 '--follow-imports', 'silent', 'use.py', cwd=tmp_path, env=environment)
    lines = [line for line in result.stdout.splitlines() if line.startswith('use.py')]
    assert [line.split(':')[1] for line in lines] == ['8', '9', '10'], result.stdout + result.stderr
