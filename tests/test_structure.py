"Test the rules for code: imports point down, modules and cells are short, and every parameter is explained."
import ast
import json
import re
from functools import cache

import pytest
from conftest import ROOT

# lowest layer first: a module imports only modules that come before it in this list
LAYERS = '''
core.docs core.errors core.quality core.place core.settings core.presets core.options core.command core.checks core.frame core.masks core.blurrer core.onnxfile core.profiles core.download core.metrics core.net core.attention
core.motion core.opinion core.person core.prefetch
io.files io.normalize io.colour io.image io.sequence io.animation io.matroska io.reader io.tracks io.encoder io.writer io.parts io.outputs io.remote io.sources io.watch io.journal io.report io.workers io.cluster ui.show ui.progress predict blur matte background pipeline video split job batch
ui.canvas ui.layout ui.strip ui.modes ui.player ui.picker ui.controls ui.window ui.sentences ui.choices ui.panel ui.pixels ui.markup ui.page ui.server explore app
ui.label ui.review learner speed camera.sources camera.sinks camera.pipewire camera.statistics camera.microphone camera.recorder camera.memory camera.keys ui.live live camera.command cli __main__
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
    assert not up, f'{name} imports {up}, which belong to a higher layer'


@pytest.mark.parametrize('name', MODULES)
def test_module_is_short(name):
    assert len(MODULES[name].read_text().splitlines()) <= 480


def code_lines(source):
    "Return the number of lines of a cell, without the comments and docstrings that explain it."
    n = sum(not line.lstrip().startswith('# ') for line in source.splitlines())
    if len(source.splitlines()) <= 45 or '%%' in source: return n
    plain = re.sub('^ *[!%].*', '', source, flags=re.M)
    docs = [d.body[0] for d in ast.walk(ast.parse(plain)) if isinstance(d, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(d)]
    return n - sum(d.end_lineno - d.lineno + 1 for d in docs)


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_cells_are_short(path):
    cells = [''.join(c['source']) for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']
    assert [s.split('\n')[1] for s in cells if code_lines(s) > 45] == []


def explained_functions(tree):
    "Yield the functions whose parameters need a comment: public functions, constructors, and methods with a docstring."
    def is_public(f): return f.name == '__call__' or not f.name.startswith('_')
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and is_public(node):
            patched = node.args.args and node.args.args[0].arg == 'self'
            if not patched or ast.get_docstring(node): yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
            yield from (m for m in node.body if isinstance(m, ast.FunctionDef)
                        and (m.name == '__init__' or is_public(m) and ast.get_docstring(m)))


@cache
def unexplained(name):
    "Return `(function, parameters without a comment)` for the functions of a module."
    lines = MODULES[name].read_text().splitlines()
    def bare(f):
        args = [a for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs) if a.arg not in ('self', 'cls')]
        return [a.arg for a in args if not re.search(r'#|setting\(', lines[a.end_lineno - 1])]
    return [(f.name, bare(f)) for f in explained_functions(ast.parse('\n'.join(lines)))]


@pytest.mark.parametrize('name', [n for n in MODULES if n not in ('cli', '__main__')])
def test_parameters_are_explained(name):
    "Each public parameter has a comment beside it (docments). The command's options have help texts instead."
    # the base class explains the parameters of its methods
    elsewhere = {f for other in MODULES for f, missing in unexplained(other) if not missing}
    assert [(f, missing) for f, missing in unexplained(name) if missing and f not in elsewhere] == []
