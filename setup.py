"Read the description of the package from settings.ini, which nbdev also reads."
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
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=cfg['keywords'],
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    license='Apache-2.0',
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
