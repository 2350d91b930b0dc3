"Configuration of the documentation site. tools/docs/build.py copies it, with the notebooks, to a temporary folder."
import re
from pathlib import Path

import bgblur

project, author, copyright = 'bgblur', 'the bgblur authors', '2026 onwards, the bgblur authors'
release = bgblur.__version__
extensions = ['myst_nb', 'sphinx.ext.autodoc']
html_theme, html_title = 'furo', 'bgblur'
html_theme_options = {'source_repository': 'https://github.com/bgblur/bgblur'}
exclude_patterns = ['sample_data/training']
templates_path = []

# the notebooks contain their outputs
nb_execution_mode = 'off'
nb_merge_streams = True
myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']
suppress_warnings = ['mystnb.unknown_mime_type']

# what the base install does not have is replaced: the reference needs no torch
autodoc_mock_imports = ['torch', 'torchvision', 'fastai', 'ipywidgets', 'anywidget', 'traitlets', 'matplotlib', 'pyvirtualcam',
                        'distributed', 'fsspec', 'upath', 'pooch', 'voila']
autodoc_default_options = {'members': True, 'member-order': 'bysource'}
# docstrings use single backticks for code, as Markdown does
default_role = 'literal'


def as_fields(app, what, name, obj, options, lines):
    "Turn the comments beside parameters, which `explain_module` adds to a docstring, into fields."
    out, inside = [], False
    for line in lines:
        if line == 'Parameters:': inside = True
        elif inside and (m := re.match(r' {4}(\*{0,2}[\w, *]+): (.*)', line)): out += [f':param {n.strip()}: {m[2]}' for n in m[1].split(',')]
        elif m := re.match(r'Returns: (.*)', line): out += [f':returns: {m[1]}']
        else: out.append(line)
        inside = inside and not re.match(r'\S', line) or line == 'Parameters:'
    # a star in a docstring is a star
    lines[:] = [re.sub(r'(?<!`)\*', r'\\*', line) for line in out]


def write_reference(app):
    "Write a page for each module, and one for the command."
    folder = Path(app.srcdir)/'reference'
    (folder/'api').mkdir(parents=True, exist_ok=True)
    package = Path(bgblur.__file__).parent
    for path in sorted(package.rglob('*.py')):
        name = '.'.join(path.relative_to(package).with_suffix('').parts)
        if path.name.startswith('_') or name == 'cli': continue     # `command_page` shows the commands
        title = f'# {name}\n\n```{{eval-rst}}\n.. automodule:: bgblur.{name}\n```\n'
        (folder/'api'/f'{name}.md').write_text(title, encoding='utf-8')
    (folder/'command.md').write_text(command_page(), encoding='utf-8')


def command_page():
    "Return the help of every command as one page."
    from typer.main import get_command
    from typer.testing import CliRunner
    from bgblur.cli import app
    names = [[], *([name] for name in get_command(app).commands), ['models', 'get']]
    parts = ['# The command\n\nThis is what `--help` prints.']
    for name in names:
        text = CliRunner().invoke(app, [*name, '--help'], prog_name='bgblur', env={'COLUMNS': '90', 'TERM': 'dumb'}).output
        parts.append(f"## {' '.join(['bgblur', *name])}\n\n```text\n{text.strip()}\n```")
    return '\n\n'.join(parts) + '\n'


def setup(app):
    app.connect('autodoc-process-docstring', as_fields)
    app.connect('builder-inited', write_reference)
