"Read the description of the package from settings.ini, which nbdev also reads."
import re
import sys
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent/'tools'/'check'))
from merge_patches import merged  # noqa: E402

config = ConfigParser()
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']

extras = {name: cfg[f'{name}_requirements'].split() for name in ('learner', 'notebooks', 'live', 'heic', 'models', 'batch', 'docs', 'check')}
extras['dev'] = [package for packages in extras.values() for package in packages] + cfg['test_requirements'].split()
extras['check'] += extras['notebooks']     # for `make check`, which also needs to run notebooks


def readme():
    "Return README.md for PyPI, where links to files and images of the repository need the whole address."
    repository, tag = cfg['git_url'].removeprefix('https://github.com/'), f"v{cfg['version']}"
    text = Path('README.md').read_text(encoding='utf-8')
    text = re.sub(r'(!\[[^]]*\]\()(?!https?:)', rf'\1https://raw.githubusercontent.com/{repository}/{tag}/', text)
    return re.sub(r'(?<!!)(\[[^]]*\]\()(?!https?:|#)', rf"\1{cfg['git_url']}/blob/{tag}/", text)


class BuildWithStubs(build_py):
    "Add a .pyi file to each module that uses `@patch`. Type checkers and editors read it in place of the module."
    def run(self):
        super().run()
        if self.editable_mode: return
        for p in Path(self.build_lib, 'bgblur').rglob('*.py'):
            text = p.read_text(encoding='utf-8')
            if '\n@patch' in text: p.with_suffix('.pyi').write_text(merged(text)[0], encoding='utf-8')


setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=readme(),
    long_description_content_type='text/markdown',
    keywords=cfg['keywords'],
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    project_urls={'Documentation': f"{cfg['doc_host']}{cfg['doc_baseurl']}", 'Changelog': f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md"},
    classifiers=['Development Status :: 3 - Alpha', 'Environment :: Console', 'Framework :: Jupyter', 'Intended Audience :: Developers',
                 'Operating System :: OS Independent', *(f'Programming Language :: Python :: {v}' for v in ('3', '3.11', '3.12', '3.13')),
                 'Topic :: Multimedia :: Video', 'Typing :: Typed'],
    license_expression='Apache-2.0',
    license_files=['LICENSE', 'NOTICE'],
    packages=find_packages(include=['bgblur', 'bgblur.*']),
    package_data={'bgblur': ['weights/*', 'py.typed', 'page/*.ipynb', 'page/voila/templates/bgblur/*']},
    cmdclass={'build_py': BuildWithStubs},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg['requirements'].split(),
    extras_require=extras,
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]},
    zip_safe=False,
)
