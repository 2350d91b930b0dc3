"""Run notebooks and keep what they show: python tools/rerun.py [--slow] 07_speed index

Slow cells (`#| slow`) keep the outputs they have, unless --slow is given.
"""
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NBS = Path(__file__).parent.parent/'nbs'


def rerun(path, slow):
    nb = nbformat.read(path, 4)
    client = NotebookClient(nb, resources={'metadata': {'path': str(path.parent)}}, timeout=600)
    with client.setup_kernel():
        for i, cell in enumerate(nb.cells):
            if cell.cell_type != 'code' or 'nbdev_export()' in cell.source: continue
            if slow or '#| slow' not in cell.source: client.execute_cell(cell, i)
            # times of running, which differ each time
            cell.metadata.pop('execution', None)
    nb.metadata.pop('language_info', None)
    nbformat.write(nb, path)


if __name__ == '__main__':
    for name in sys.argv[1:]:
        if name != '--slow': rerun(NBS/f'{name}.ipynb', '--slow' in sys.argv)
