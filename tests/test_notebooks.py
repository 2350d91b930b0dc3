"Test that every notebook runs, alone and with the others, and that package and README agree with them."
import json
import re

import pytest
from conftest import BIN, ROOT, copy_project, run

NOTEBOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)


def completed(output): return sorted(re.findall(r'- Completed .*/(\S+\.ipynb)', output))


def test_all_in_order_and_none_missing(soak):
    "All notebooks run one after another in one process. `make test` runs each in its own, which finds more faults."
    if not soak: pytest.skip('part of make soak')
    result = run(BIN/'nbdev_test', '--n_workers', 0, '--do_print', cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    # nbdev_test silently skips a notebook whose name starts with _ or whose front matter excludes it
    assert completed(result.stdout) == [p.name for p in NOTEBOOKS]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_alone(path):
    result = run(BIN/'nbdev_test', '--path', path, '--do_print', cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert completed(result.stdout) == [path.name]


def test_each_module_has_its_notebook():
    sources = {m: re.search(r'File to edit: (?:\.\./)+nbs/(\S+ipynb)', m.read_text()) for m in (ROOT/'bgblur').rglob('[!_]*.py')}
    assert all(sources.values()), sources
    assert {m[1] for m in sources.values()} == {str(p.relative_to(ROOT/'nbs')) for p in NOTEBOOKS} - {'index.ipynb'}


def test_package_and_readme_agree_with_notebooks(tmp_path):
    copy = copy_project(tmp_path)
    before = {p: p.read_bytes() for d in ('nbs', 'bgblur') for p in (copy/d).rglob('*') if p.is_file()}
    for command in ('nbdev_clean', 'nbdev_export'): assert run(BIN/command, cwd=copy).returncode == 0
    after = {p: p.read_bytes() for p in before if p.exists()}
    changed = [str(p.relative_to(copy)) for p in before if before[p] != after.get(p)]
    assert changed == [], 'run .venv/bin/nbdev_export and .venv/bin/nbdev_clean'
    result = run(BIN/'python', copy/'tools'/'docs'/'readme.py', '--check')
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('path', [*ROOT.glob('*.md'), *ROOT.glob('[!.]*/README.md'), *ROOT.glob('docs/**/*.md'), ROOT/'bgblur'/'weights'/'README.md', *NOTEBOOKS],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_links_point_to_existing_files(path):
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.ipynb':
        text = '\n'.join(''.join(c['source']) for c in json.loads(text)['cells'] if c['cell_type'] == 'markdown')
    links = [m for m in re.findall(r'\]\(([^)\s]+)\)', text) if not re.match('https?:|#', m)]
    assert [m for m in links if not (path.parent/m.split('#')[0]).exists()] == []


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_readable_unrun(path):
    assert path.stat().st_size < 1_000_000
    cells = [c for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']
    # cells that end with an image, a clip or a widget need a stored output: see tools/docs/rerun.py
    shows = r'show_images|Video|(ex|pixel|canvas|review)$'
    without_output = [c['source'] for c in cells if re.match(shows, ''.join(c['source'][-1:])) and not c['outputs']]
    assert not without_output
    assert 'widget-view+json' not in json.dumps([c['outputs'] for c in cells])
    assert 'Traceback' not in json.dumps([c['outputs'] for c in cells])
