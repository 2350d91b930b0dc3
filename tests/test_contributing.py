"Test what a contributor reads: `make help`, the maps of tests and tools, and the commands in the documents."
import re
import shutil

import pytest
from conftest import ROOT, run

NOT_FOR_YOU = {'libraries', 'browser'}     # targets that only other targets need
MAKEFILE = (ROOT/'Makefile').read_text(encoding='utf-8')
TARGETS = {t for line in re.findall(r'^\.PHONY:(.*)$', MAKEFILE, re.M) for t in line.split()}
DOCUMENTS = [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('.github/**/*.*'), *ROOT.glob('*/README.md'),
             ROOT/'bgblur'/'weights'/'README.md', ROOT/'NOTICE']
SOURCES = [*ROOT.glob('*.ini'), *ROOT.glob('*.py'), *(p for d in ('tests', 'tools', 'nbs') for kind in ('*.py', '*.ipynb') for p in (ROOT/d).rglob(kind)
                                                     if '.ipynb_checkpoints' not in p.parts)]


def name(path): return str(path.relative_to(ROOT))


@pytest.mark.skipif(not shutil.which('make'), reason='needs make')
def test_make_help_lists_every_target():
    result = run('make', '--no-print-directory', '-C', ROOT, 'help')
    listed = re.findall(r'^  make (\S+) +\S', result.stdout, re.M)
    assert sorted(listed) == sorted(TARGETS - NOT_FOR_YOU), result.stdout + result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert run('make', '--no-print-directory', '-C', ROOT).stdout == result.stdout


def modules_in(document):
    "Return the Python files that a document names, without a path or with that of a folder of tools."
    return {*re.findall(r'`(\w+/?\w+\.py)`', (ROOT/document).read_text(encoding='utf-8'))}


def test_map_of_the_tests_is_complete():
    named = {m for m in modules_in('CONTRIBUTING.md') if '/' not in m}
    assert named == {p.name for p in ROOT.glob('tests/*.py')}


def test_map_of_the_tools_is_complete():
    named = {m for m in modules_in('tools/README.md') if '/' in m}
    # a folder with __main__.py is named as a whole: `tools/bench`
    assert named - {'tests/test_fuzz.py'} == {f'{p.parent.name}/{p.name}' for p in ROOT.glob('tools/*/[!_]*.py')}


@pytest.mark.parametrize('path', DOCUMENTS + SOURCES, ids=name)
def test_named_tools_and_targets_exist(path):
    text = path.read_text(encoding='utf-8')
    assert [t for t in re.findall(r'\btools/[\w/]+\.py\b', text) if not (ROOT/t).exists()] == []
    assert {t for t in re.findall(r'`make ([a-z-]+)', text)} - TARGETS == set()
