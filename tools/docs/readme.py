"""Make README.md from nbs/index.ipynb. nbdev_readme does the same but needs Quarto.

    python tools/docs/readme.py            write README.md
    python tools/docs/readme.py --check    exit with 1 if README.md differs from the notebook
"""
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]


def shown(cell):
    "Return `cell`, or only the Markdown it returned if it starts with `#| echo: false`."
    if not cell.source.startswith('#| echo: false'): return cell
    return nbformat.v4.new_markdown_cell('\n\n'.join(o.data['text/markdown'] for o in cell.outputs), id=cell.id)


def from_top(text):
    "Return `text` with links that start in the top folder instead of nbs/, such as `../LICENSE` and `core/net.ipynb`."
    text = re.sub(r'\]\((?!https?:|#|\.\./)', '](nbs/', text)
    return re.sub(r"(\]\(|')\.\./", r'\1', text)


def readme():
    "Return the notebook as Markdown, without hidden cells."
    nb = nbformat.read(ROOT/'nbs'/'index.ipynb', as_version=4)
    nb.cells = [shown(c) for c in nb.cells if not c.source.startswith('#| hide')]
    nb.metadata.language_info = {'name': 'python'}
    return from_top(MarkdownExporter().from_notebook_node(nb)[0].strip() + '\n')


if __name__ == '__main__':
    path = ROOT/'README.md'
    if '--check' not in sys.argv: path.write_text(readme(), encoding='utf-8')
    elif path.read_text(encoding='utf-8') != readme(): sys.exit('README.md differs from nbs/index.ipynb. Run .venv/bin/python tools/docs/readme.py.')
