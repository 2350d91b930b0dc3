"""Build the documentation site from the notebooks: python tools/docs/build.py [--out _site] [--keep]

Copies the notebooks and pages to a temporary folder with the same layout, prepares them there, and runs Sphinx on the copy.
No notebook is executed: the site shows the stored outputs. Warnings are errors. It needs `pip install '.[docs]'`.
"""
import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ('FAULTS.md', 'SECURITY.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'tools/README.md',
         'sample_data/README.md', 'bgblur/weights/README.md')
LINK = re.compile(r'(!?\[[^\]]*\]\()([^)\s#]+)([)#])')


def git_url():
    "Return the address of the repository."
    config = ConfigParser()
    config.read(ROOT/'settings.ini', encoding='utf-8')
    return config['DEFAULT']['git_url']


def sources():
    "Return the files of the site, relative to the repository."
    found = [*ROOT.glob('nbs/**/*.ipynb'), *ROOT.glob('nbs/images/*'), *ROOT.glob('docs/**/*'), *(ROOT/name for name in PAGES)]
    return {p.relative_to(ROOT) for p in found if p.is_file() and not {'.ipynb_checkpoints', '__pycache__'} & {*p.parts}}


def place(path):
    "Return where a file of the repository is in the site: the pages of docs/ are at its top."
    return path.relative_to('docs') if path.parts[0] == 'docs' else path


def with_links(text, page, known, url):
    "Return the Markdown of a page with its links as the site needs them. Links to files outside the site lead to the repository."
    def link(m):
        start, target, end = m.groups()
        if '://' in target or target.startswith('mailto:'): return m[0]
        path = (ROOT/page.parent/target).resolve()
        if not path.is_relative_to(ROOT) or not path.exists(): return m[0]     # Sphinx reports it
        inside = path.relative_to(ROOT)
        if inside not in known: return f"{start}{url}/{'tree' if path.is_dir() else 'blob'}/main/{inside.as_posix()}{end}"
        return f'{start}{Path(os.path.relpath(place(inside), place(page).parent)).as_posix()}{end}'
    return LINK.sub(link, text)


def without_directives(source):
    "Return the source of a code cell without nbdev's directives."
    return ''.join(line for line in source if not line.startswith('#|')).strip('\n')


def prepared(cell, page, known, url):
    "Return a cell as the site shows it, or None if the reader should not see it."
    directives = [line.strip() for line in cell['source'] if line.startswith('#|')]
    if cell['cell_type'] == 'markdown':
        return cell | {'source': with_links(''.join(cell['source']), page, known, url)}
    if '#| hide' in directives: return None
    tags = ['remove-input'] if '#| echo: false' in directives else []
    source = without_directives(cell['source'])
    if not source and not cell.get('outputs'): return None
    return cell | {'source': source, 'metadata': {'tags': tags}}


def copy_notebook(page, dst, known, url):
    "Write the notebook `page` to `dst` without hidden cells and directives."
    nb = json.loads((ROOT/page).read_text(encoding='utf-8'))
    # two pages called bgblur would look the same in the search, and in the links to the next page
    if page == Path('nbs/index.ipynb'): nb['cells'][0]['source'][0] = '# Start\n'
    nb['cells'] = [c for cell in nb['cells'] if (c := prepared(cell, page, known, url))]
    dst.write_text(json.dumps(nb), encoding='utf-8')


def stage(folder):
    "Copy everything that Sphinx reads to `folder`: the pages of docs/ to its top, the rest as in the repository."
    known, url = sources(), git_url()
    for page in known:
        dst = folder/place(page)
        dst.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == '.ipynb': copy_notebook(page, dst, known, url)
        elif page.suffix == '.md': dst.write_text(with_links((ROOT/page).read_text(encoding='utf-8'), page, known, url), encoding='utf-8')
        else: shutil.copy(ROOT/page, dst)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', default=ROOT/'_site', type=Path, help='folder for the site')
    parser.add_argument('--keep', type=Path, help='copy the sources to this folder, and keep them')
    args = parser.parse_args()
    from sphinx.cmd.build import main as sphinx
    with tempfile.TemporaryDirectory(prefix='bgblur-docs-') as tmp:
        folder = args.keep or Path(tmp)/'source'
        stage(folder)
        # myst-nb writes a folder `jupyter_execute` beside the site
        code = sphinx(['-W', '--keep-going', '-q', '-j', 'auto', '-d', f'{tmp}/doctrees', str(folder), f'{tmp}/site'])
        if code: return code
        if args.out.exists(): shutil.rmtree(args.out)
        shutil.move(f'{tmp}/site', args.out)
    print(f'Open {args.out}/index.html in a browser.')
    return 0


if __name__ == '__main__': sys.exit(main())
