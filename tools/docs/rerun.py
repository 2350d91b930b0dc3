"""Run notebooks and store their outputs: python tools/docs/rerun.py [--slow] 07_speed io/reader index

Slow cells (`#| slow`) keep their outputs, unless you add --slow. A notebook runs in its own folder. Widgets are removed from
the outputs, because only a running notebook can show them. The image that is stored beside each widget remains.
"""
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NBS = Path(__file__).resolve().parents[2]/'nbs'

VIEW = 'application/vnd.jupyter.widget-view+json'


def remove_widgets(nb):
    "Remove the widgets from the outputs of a notebook."
    nb.metadata.pop('widgets', None)
    for cell in nb.cells:
        for output in list(cell.get('outputs', [])):
            data = output.get('data', {})
            # without a still image, only the widget's repr would be left
            if data.pop(VIEW, None) and set(data) == {'text/plain'}: cell.outputs.remove(output)


def rerun(path, slow):
    "Run the notebook at `path` and store its outputs."
    nb = nbformat.read(path, 4)
    client = NotebookClient(nb, resources={'metadata': {'path': str(path.parent)}}, timeout=600)
    with client.setup_kernel():
        for i, cell in enumerate(nb.cells):
            if cell.cell_type != 'code' or 'nbdev_export()' in cell.source: continue
            if slow or '#| slow' not in cell.source: client.execute_cell(cell, i)
            # execution times differ in every run
            cell.metadata.pop('execution', None)
    nb.metadata.pop('language_info', None)
    remove_widgets(nb)
    nbformat.write(nb, path)


if __name__ == '__main__':
    paths = [NBS/f'{name}.ipynb' for name in sys.argv[1:] if name != '--slow']
    for path in paths:
        if not path.exists(): sys.exit(f'There is no notebook {path}. Use names such as 07_speed or io/reader.')
    for path in paths: rerun(path, '--slow' in sys.argv)
