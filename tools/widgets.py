"""Remove widgets from the stored outputs of all notebooks: python tools/widgets.py

An unrun notebook cannot show a widget. The image that is stored beside the widget remains.
"""
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
VIEW = 'application/vnd.jupyter.widget-view+json'

if __name__ == '__main__':
    for path in (ROOT/'nbs').rglob('*.ipynb'):
        nb = nbformat.read(path, 4)
        nb.metadata.pop('widgets', None)
        for cell in nb.cells:
            for output in list(cell.get('outputs', [])):
                data = output.get('data', {})
                # without a still image, only the widget's repr would be left
                if data.pop(VIEW, None) and set(data) == {'text/plain'}: cell.outputs.remove(output)
        nbformat.write(nb, path)
