"""Leave in the notebooks the picture of each widget, and not the widget, which cannot be shown unrun: python tools/widgets.py"""
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
VIEW = 'application/vnd.jupyter.widget-view+json'

if __name__ == '__main__':
    for path in (ROOT/'nbs').rglob('*.ipynb'):
        nb = nbformat.read(path, 4)
        nb.metadata.pop('widgets', None)
        for cell in nb.cells:
            for output in cell.get('outputs', []): output.get('data', {}).pop(VIEW, None)
        nbformat.write(nb, path)
