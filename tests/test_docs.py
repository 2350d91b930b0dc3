"Test the documentation site: it builds without warnings, its links work, and Chromium shows its pages."
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from browser import chromium
from conftest import ROOT

import bgblur


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "Return the folder of the site. Warnings are errors."
    folder = tmp_path_factory.mktemp('docs')/'site'
    r = subprocess.run([sys.executable, ROOT/'tools'/'docs'/'build.py', '--out', folder], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr[-3000:]
    assert [p.name for p in folder.parent.iterdir()] == ['site']
    return folder


class Page(HTMLParser):
    "Collect the addresses that a page refers to, and the names that others can refer to."
    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.loaded = [], set(), []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if 'id' in attrs: self.ids.add(attrs['id'])
        if tag == 'a' and 'href' in attrs: self.links.append(attrs['href'])
        if tag in ('img', 'script') and 'src' in attrs: self.loaded.append(attrs['src'])
        if tag == 'link' and attrs.get('rel') in ('stylesheet', 'icon'): self.loaded.append(attrs['href'])


def broken(site):
    "Return each link to a file or heading of the site that does not exist, with its page."
    pages, found = {p: Page(p) for p in site.rglob('*.html')}, []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or link.startswith('data:'): continue
            target = (path.parent/unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                found.append(f'{path.relative_to(site)}: {link}')
    return found


def test_every_link_works(site):
    assert broken(site) == []


def test_nothing_is_loaded_from_elsewhere(site):
    assert [s for p in site.rglob('*.html') for s in Page(p).loaded if urlsplit(s).scheme not in ('', 'data')] == []


def test_links_out_of_the_site_lead_to_files_that_exist(site):
    links = {s for p in site.rglob('*.html') for s in Page(p).links}
    names = [m[1] for s in links if (m := re.search(r'github\.com/bgblur/bgblur/(?:blob|tree)/main/([^#]+)', s))]
    assert names and [n for n in names if not (ROOT/unquote(n)).exists()] == []


def test_hidden_cells_and_directives_are_not_shown(site):
    text = ''.join(p.read_text(encoding='utf-8') for p in (site/'nbs').rglob('*.html'))
    assert '#| ' not in text and 'explain_module(__name__)' not in text.replace('<span class="vm">', '').replace('</span>', '')


def test_reference_explains_parameters(site):
    page = (site/'reference'/'api'/'video.html').read_text(encoding='utf-8')
    assert 'blur_video' in page and 'Parameters' in page
    assert '--strength' in (site/'reference'/'command.html').read_text(encoding='utf-8')


def test_reference_lists_every_module_and_name(site):
    listed = set(Page(site/'reference'/'index.html').links)
    pages = {p.relative_to(site/'reference').as_posix() for p in (site/'reference'/'api').rglob('*.html')}
    assert len(pages) > 50 and pages <= listed
    package = (site/'reference'/'package.html').read_text(encoding='utf-8')
    assert [name for name in bgblur.EXPORTS if not re.search(rf'href="api/[\w/]+\.html#bgblur\.[\w.]+\.{name}"', package)] == []


def test_reference_shows_examples_as_code_and_calls_of_objects(site):
    page = (site/'reference'/'api'/'pipeline.html').read_text(encoding='utf-8')
    assert '<span class="k">def</span>' in page and 'bgblur.pipeline.Blurrer.__call__' in page
    assert not [p for p in (site/'reference').rglob('*.html') if '<blockquote>' in p.read_text(encoding='utf-8')]


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_pages_in_chromium(site, scheme):
    with chromium(420, 900) as page:
        errors = []
        page.on('pageerror', lambda e: errors.append(str(e)))
        page.emulate_media(color_scheme=scheme)
        for name in ('index', 'nbs/01_blur', 'howto/calls', 'reference/api/video'):
            page.goto((site/f'{name}.html').as_uri())
            assert page.locator('h1').inner_text()
            # a page on a phone does not scroll sideways
            assert page.evaluate('document.documentElement.scrollWidth') <= 420, name
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] < 100")
            assert dark == (scheme == 'dark')
        assert errors == []


def test_search_works_offline(site):
    with chromium(1000, 800) as page:
        page.goto((site/'search.html').as_uri() + '?q=halo')
        page.locator('#search-results li a').first.wait_for(timeout=60_000)
        assert page.locator('#search-results li').count() > 1
