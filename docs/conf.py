"Configuration of the documentation site. tools/docs/build.py copies it, with the notebooks, to a temporary folder."
import ast
import json
import re
from base64 import b64decode
from pathlib import Path

from sphinx.addnodes import desc_annotation
from sphinx.ext.autodoc.mock import mock

import bgblur

project, author, copyright = 'bgblur', 'the bgblur authors', '2026 onwards, the bgblur authors'
release = bgblur.__version__
extensions = ['myst_nb', 'sphinx.ext.autodoc']
html_theme, html_title = 'furo', 'bgblur'
html_theme_options = {'source_repository': 'https://github.com/bgblur/bgblur'}
exclude_patterns = ['sample_data/training']
html_static_path, html_css_files = ['_static'], ['site.css']
templates_path = []

# the notebooks contain their outputs
nb_execution_mode = 'off'
nb_merge_streams = True
myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence', 'attrs_inline']
suppress_warnings = ['mystnb.unknown_mime_type']

# what the base install does not have is replaced: the reference needs no torch
autodoc_mock_imports = ['torch', 'torchvision', 'fastai', 'ipywidgets', 'anywidget', 'traitlets', 'matplotlib', 'pyvirtualcam',
                        'distributed', 'fsspec', 'upath', 'pooch', 'voila']
autodoc_default_options = {'members': True, 'member-order': 'bysource', 'special-members': '__call__'}
# a property without a docstring would show that of its value's class
autodoc_inherit_docstrings = False
# docstrings use single backticks for code, as Markdown does
default_role = 'literal'


def with_code_blocks(lines):
    "Turn indented examples, which Markdown and help() show as code, into code blocks."
    out, is_code = [], False
    for before, line in zip(['', *lines], lines):
        indented = line.startswith('    ')
        if indented and not before and not is_code: out += ['.. code-block:: python', '']
        is_code = indented or is_code and not line
        out.append(line)
    return out


def as_fields(app, what, name, obj, options, lines):
    "Turn the comments beside parameters, which `explain_module` adds to a docstring, into fields."
    out, inside = [], False
    for line in with_code_blocks(lines):
        if line == 'Parameters:': inside = True
        elif inside and (m := re.match(r' {4}(\*{0,2}[\w, *]+): (.*)', line)): out += [f':param {n.strip()}: {m[2]}' for n in m[1].split(',')]
        elif m := re.match(r'Returns: (.*)', line): out += [f':returns: {m[1]}']
        else: out.append(line)
        inside = inside and not re.match(r'\S', line) or line == 'Parameters:'
    # a star in a docstring is a star, except in code
    lines[:] = [line if line.startswith('    ') else re.sub(r'(?<!`)\*', r'\\*', line) for line in out]


def first_image(path, cells):
    "Return the first image of a notebook as Markdown, or '' if it has none. Write it to the folder of the site if it is an output."
    for cell in cells:
        if m := re.search(r'!\[[^]]*\]\((images/[^)]+)\)', ''.join(cell['source'])): return f'![](nbs/{m[1]}){{width=240px}}'
        for output in cell.get('outputs', ()):
            if data := output.get('data', {}).get('image/jpeg'):
                path.with_suffix('.jpg').write_bytes(b64decode(data))
                return f'![](nbs/{path.stem}.jpg){{width=240px}}'
    return ''


def without_links(text):
    "Return Markdown without links, which lead from the notebook that contains the text."
    return re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', text)


def title_and_sentence(cells):
    "Return the title of a notebook, and the sentence below it."
    return re.match(r'# (.*)\n+> (.*)', without_links(''.join(cells[0]['source']))).groups()


def write_walkthrough(app):
    "Add a table of the notebooks to the page that names them: image, title and first sentence."
    page = Path(app.srcdir)/'walkthrough.md'
    text, rows = page.read_text(encoding='utf-8'), ['| | |', '| --- | --- |']
    for name in re.findall(r'^nbs/\w+$', text, flags=re.M):
        path = Path(app.srcdir)/f'{name}.ipynb'
        cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        title, sentence = title_and_sentence(cells)
        rows.append(f'| {first_image(path, cells)} | **[{title}]({name}.ipynb)**. {sentence}. |')
    page.write_text(text + '\n' + '\n'.join(rows) + '\n', encoding='utf-8')


def write_machinery(app):
    "Add a table of the notebooks of each folder after the list that names the folder."
    page = Path(app.srcdir)/'machinery.md'

    def with_table(m):
        paths = sorted((page.parent/m[1]).glob('*.ipynb'))
        rows = [f'| [{title}]({path.relative_to(page.parent).as_posix()}) | {sentence} |' for path in paths
                for title, sentence in [title_and_sentence(json.loads(path.read_text(encoding='utf-8'))['cells'])]]
        return '\n'.join([m[0], '', '| notebook | what it explains |', '| --- | --- |', *rows])

    page.write_text(re.sub(r'^(nbs/\w+)/\*\n```$', with_table, page.read_text(encoding='utf-8'), flags=re.M), encoding='utf-8')


def notebook_of(path):
    "Return the notebook that a module was exported from, relative to the repository."
    return re.search(r'File to edit: (?:\.\./)+(nbs/[\w/]+\.ipynb)', path.read_text(encoding='utf-8'))[1]


def write_reference(app):
    "Write a page for each module, one that lists them, one for the names of the package, and one for the command."
    folder, package = Path(app.srcdir)/'reference', Path(bgblur.__file__).parent
    # `command_page` shows the commands
    modules = [p.relative_to(package) for p in sorted(package.rglob('*.py')) if not p.name.startswith('_') and p.stem != 'cli']
    for path in modules:
        page = folder/'api'/path.with_suffix('.md')
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(module_page(path, notebook_of(package/path)), encoding='utf-8')
    with (folder/'index.md').open('a', encoding='utf-8') as f: f.write(list_of_modules(package, modules))
    (folder/'package.md').write_text(package_page(), encoding='utf-8')
    (folder/'command.md').write_text(command_page(), encoding='utf-8')


def summary(path):
    "Return the first paragraph of a module's docstring, without links."
    doc = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
    return without_links(' '.join(doc.split('\n\n')[0].split()))


def list_of_modules(package, modules):
    "Return a table of the modules of each folder."
    parts = []
    for parent in sorted({p.parent for p in modules}):
        inside, title = [p for p in modules if p.parent == parent], parent.name or 'Walkthrough'
        rows = [f'| [{p.stem}](api/{p.with_suffix(".md").as_posix()}) | {summary(package/p)} |' for p in inside]
        pages = [f'api/{p.with_suffix("").as_posix()}' for p in inside]
        lines = [f'## {title}', '', '| module | what it does |', '| --- | --- |', *rows, '',
                 '```{toctree}', ':hidden:', f':caption: {title}', '', *pages, '```']
        parts.append('\n' + '\n'.join(lines) + '\n')
    return '\n'.join(parts)


def module_page(path, notebook):
    "Return the page of a module, with a link to its notebook."
    name, up = '.'.join(path.with_suffix('').parts), '../'*(len(path.parts) + 1)
    origin = f'The notebook [{Path(notebook).stem}]({up}{notebook}) defines and explains this module.'
    return f'# {name}\n\n{origin}\n\n```{{eval-rst}}\n.. automodule:: bgblur.{name}\n```\n'


def package_page():
    "Return what `from bgblur import ...` gives, with the first sentence of each."
    rows = ['| name | what it does |', '| --- | --- |']
    with mock(autodoc_mock_imports):
        for name, module in sorted(bgblur.EXPORTS.items(), key=lambda pair: pair[0].lower()):
            doc = ' '.join(getattr(bgblur, name).__doc__.split('\n\n')[0].split())
            rows.append(f"| {{py:obj}}`~bgblur.{module}.{name}` | {doc.split('. ')[0].rstrip('.')} |")
    return '# The package\n\n```{eval-rst}\n.. automodule:: bgblur\n   :no-members:\n```\n\n' + '\n'.join(rows) + '\n'


def command_page():
    "Return the help of every command as one page."
    from typer.main import get_command
    from typer.testing import CliRunner
    from bgblur.cli import app
    names = [[], *([name] for name in get_command(app).commands), ['models', 'get']]
    parts = ['# The command\n\nThis is what `bgblur --help` and the help of each command print. [How-to](../howto/index.md) shows them at work.']
    for name in names:
        text = CliRunner().invoke(app, [*name, '--help'], prog_name='bgblur', env={'COLUMNS': '90', 'TERM': 'dumb'}).output
        parts.append(f"## {' '.join(['bgblur', *name])}\n\n```text\n{text.strip()}\n```")
    return '\n\n'.join(parts) + '\n'


def without_long_value(app, domain, kind, content):
    "Leave out the value of a constant that would fill more than three lines."
    if kind in ('data', 'attribute'):
        for value in list(content.parent.findall(desc_annotation)):
            if len(value.astext()) > 240: value.parent.remove(value)


def setup(app):
    app.connect('object-description-transform', without_long_value)
    app.connect('autodoc-process-docstring', as_fields)
    app.connect('builder-inited', write_reference)
    app.connect('builder-inited', write_walkthrough)
    app.connect('builder-inited', write_machinery)
