"Test the notebooks 00 to 05 where nothing is installed: in the environment that Binder builds, and alone as on Colab."
import json
import os
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from conftest import BIN, ROOT, copy_project, run, settings
from test_install import PYTHONS

GIT_URL = settings()['git_url']
BINDER = ROOT/'.binder'
NOTEBOOKS = sorted((ROOT/'nbs').glob('0[0-5]*.ipynb'))
# the variables of a reader: nothing that leads to the environment that runs the tests
CLEAN = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'VIRTUAL_ENV', 'IN_TEST', 'JUPYTER_PATH')}
CLEAN['PATH'] = os.pathsep.join(p for p in os.environ['PATH'].split(os.pathsep) if Path(p) != BIN)


def cells(path, kind='code'):
    "Return the sources of the cells of one kind."
    return [''.join(c['source']) for c in json.loads(path.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == kind]


def requirements():
    "Return the lines of Binder's requirements.txt: those that start with -- are options of pip."
    lines = (BINDER/'requirements.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line.strip() and not line.startswith('#')]


def parts_of_torch():
    "Return the installed distributions of PyTorch and of its CUDA libraries."
    found, names = {}, ['torch', 'torchvision']
    while names:
        if (name := names.pop()) in found: continue
        found[name] = distribution(name)
        needed = {re.match(r'[\w-]+', r)[0]: r for r in found[name].requires or ()}
        names += [n for n, r in needed.items() if re.match('nvidia|cuda|triton', n) and 'extra ==' not in r and installed(n)]
    return found.values()


def installed(name):
    try: return bool(distribution(name))
    except ModuleNotFoundError: return False


def link_torch(site):
    "Give an environment the PyTorch of this one. Hard links: a download has 3 GB, and pip may remove a link."
    for dist in parts_of_torch():
        for file in dist.files:
            src, dst = Path(dist.locate_file(file)), site/file
            if '..' in file.parts or '__pycache__' in file.parts or not src.exists(): continue
            dst.parent.mkdir(parents=True, exist_ok=True)
            try: os.link(src, dst)
            except FileExistsError: pass
            except OSError: dst.symlink_to(src)     # another file system


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    "Return a fresh clone of the project, as a git repository."
    folder = copy_project(tmp_path_factory.mktemp('clone'))
    for args in (['init', '-q'], ['add', '-A'], ['-c', 'user.name=a', '-c', 'user.email=a@b.c', 'commit', '-qm', 'a']):
        result = run('git', *args, cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope='module')
def python(clone, tmp_path_factory):
    "Return the Python of a new environment in which pip installed Binder's requirements. PyTorch is that of this environment."
    env = tmp_path_factory.mktemp('env')
    assert run(sys.executable, '-m', 'venv', env).returncode == 0
    python = env/'bin'/'python'
    link_torch(Path(run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))').stdout.strip()))
    for line in requirements():
        if line.startswith('--'): continue
        result = run(python, '-m', 'pip', 'install', '-q', line, cwd=clone, env=CLEAN)
        assert result.returncode == 0, result.stderr
    return python


def execute(python, path, env=CLEAN):
    "Run all cells of a notebook in its folder, as a reader does. An error in a cell is an error here."
    result = run(python.parent/'jupyter-execute', '--timeout=600', path, env=env, cwd=path.parent)
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.parametrize('name', [p.name for p in NOTEBOOKS])
def test_notebook_runs_on_binder(python, clone, name):
    execute(python, clone/'nbs'/name)
    # where the sample data is, the first cell does nothing
    assert not (clone/'nbs'/'bgblur').exists()


def test_notebook_runs_alone_on_colab(python, clone, tmp_path):
    "The folder contains only the notebook. Its first cell clones the project, here from a local folder."
    assert run(python, '-m', 'pip', 'uninstall', '-qy', 'bgblur').returncode == 0
    path = tmp_path/'content'/'02_matte.ipynb'
    path.parent.mkdir()
    path.write_bytes((clone/'nbs'/path.name).read_bytes())
    local = {'GIT_CONFIG_COUNT': '1', 'GIT_CONFIG_KEY_0': f'url.{clone.as_uri()}.insteadOf', 'GIT_CONFIG_VALUE_0': GIT_URL}
    execute(python, path, CLEAN | local)
    assert (path.parent/'bgblur'/'sample_data'/'testclip.mp4').exists()
    # a restarted session starts in this folder again
    execute(python, path, CLEAN | local)


def test_first_cell_is_the_same_in_each_notebook():
    first = {cells(p)[0] for p in NOTEBOOKS}
    assert len(first) == 1 and f'git clone -q --depth 1 {GIT_URL}\n' in first.pop()


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_links_lead_to_the_notebook(path):
    links = re.findall(r'\]\((https?://[^)]+)\)', cells(path, 'markdown')[1])
    name = GIT_URL.removeprefix('https://github.com/')
    assert links == [f'https://colab.research.google.com/github/{name}/blob/main/nbs/{path.name}',
                     f'https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/nbs/{path.name}']


def test_colab_and_binder_install_the_same():
    extras = re.search(r'\.(\[.*\])', ' '.join(requirements()))[1]
    assert f"'./bgblur{extras}'" in cells(NOTEBOOKS[0])[0]


def test_binder_uses_a_python_that_is_tested():
    assert (BINDER/'runtime.txt').read_text().strip().removeprefix('python-') in PYTHONS
