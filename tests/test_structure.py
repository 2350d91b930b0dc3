"The house rules that a program can check: imports point down, modules and cells are short, every parameter is explained."
import ast
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT

# bottom to top: a module imports only modules above it in this list
LAYERS = '''
core.docs core.errors core.settings core.checks core.frame core.masks core.onnxfile core.metrics core.net core.attention
io.files io.normalize io.image io.reader io.tracks io.writer ui.show predict blur matte background pipeline video
ui.canvas ui.controls ui.pixels explore app ui.label learner speed camera.sources camera.sinks ui.live live cli __main__
'''.split()
MODULES = {'.'.join(p.relative_to(ROOT/'bgblur').with_suffix('').parts): p for p in sorted((ROOT/'bgblur').rglob('*.py'))
           if p.name not in ('__init__.py', '_modidx.py')}
NOTEBOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)


def imported(name):
    "Return the modules of bgblur that a module imports, also inside functions."
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import): found |= {a.name for a in node.names}
        if not isinstance(node, ast.ImportFrom): continue
        package = ['bgblur', *name.split('.')]
        base = '.'.join(package[:-node.level] + [node.module or '']).strip('.') if node.level else node.module
        found |= {base, *(f'{base}.{a.name}' for a in node.names)}
    return {m.removeprefix('bgblur.') for m in found} & {*MODULES}


def test_each_module_has_its_layer():
    assert sorted(MODULES) == sorted(LAYERS)


@pytest.mark.parametrize('name', MODULES)
def test_imports_point_down(name):
    up = [m for m in imported(name) if LAYERS.index(m) >= LAYERS.index(name) and m != name]
    assert not up, f'{name} imports {up}, which stand above it'


@pytest.mark.parametrize('name', MODULES)
def test_module_is_short(name):
    assert len(MODULES[name].read_text().splitlines()) <= 480


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_cells_are_short(path):
    cells = [''.join(c['source']) for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']
    assert [s.split('\n')[1] for s in cells if len(s.splitlines()) > 45] == []


def undocumented(path):
    "Yield the public parameters of a module that have no comment beside them."
    text = path.read_text()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith('_') and node.name not in ('__init__', '__call__'): continue
        args = [a for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg not in ('self', 'cls')]
        # a method that fills in its base class's method is explained there
        if len(args) and node.lineno == node.body[0].lineno: continue
        yield from ((node.name, a.arg) for a in args if not re.search(r'#|metadata', lines[a.end_lineno - 1]))


@pytest.mark.parametrize('name', [n for n in MODULES if n not in ('cli', '__main__')])
def test_parameters_are_explained(name):
    nested = re.compile(r'^ {8,}def ', re.M)
    text = MODULES[name].read_text()
    public = re.findall(r"'(\w+)'", re.search(r'__all__ = \[(.*?)\]', text, re.S)[1]) if '__all__ = [' in text else []
    missing = [(f, a) for f, a in undocumented(MODULES[name]) if f in public]
    assert not missing, (missing, bool(nested))
