"Test that the files which name the version agree, and that CHANGELOG.md has the form of Keep a Changelog."
import re
from datetime import date

import bgblur
from conftest import ROOT, settings

CHANGELOG = (ROOT/'CHANGELOG.md').read_text(encoding='utf-8')
KINDS = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']


def sections():
    "Return `(name, date or '', text)` for each section of CHANGELOG.md."
    parts = re.split(r'^## (.*)\n', CHANGELOG.split('\n[Unreleased]: ')[0], flags=re.M)[1:]
    found = [(re.fullmatch(r'\[([^]]+)\](?: - (\S+))?', head), text) for head, text in zip(parts[::2], parts[1::2])]
    assert all(m for m, _ in found), parts[::2]
    return [(m[1], m[2] or '', text) for m, text in found]


def test_version_is_the_same_everywhere():
    "The release workflow also compares the tag with it."
    citation = dict(re.findall(r'^(version|date-released): (\S+)$', (ROOT/'CITATION.cff').read_text(encoding='utf-8'), re.M))
    name, day, _ = sections()[1]
    assert {settings()['version'], bgblur.__version__, citation['version'], name} == {bgblur.__version__}
    assert citation['date-released'] == day


def test_changelog_has_a_section_per_version():
    "The newest version comes first. Each one has a day in the form of ISO 8601."
    (first, no_day, _), *released = sections()
    assert (first, no_day) == ('Unreleased', '') and released
    numbers = [tuple(map(int, name.split('.'))) for name, _, _ in released]
    days = [date.fromisoformat(day) for _, day, _ in released]
    assert numbers == sorted({*numbers}, reverse=True) and days == sorted(days, reverse=True)
    assert all(re.fullmatch(r'\d{4}-\d\d-\d\d', day) for _, day, _ in released)


def test_changelog_groups_by_kind_of_change():
    for name, day, text in sections():
        kinds = re.findall(r'^### (.*)$', text, re.M)
        assert kinds == [k for k in KINDS if k in kinds] and (kinds or not day), (name, kinds)
        # each kind contains a change, and each change stands below a kind
        before, *parts = re.split(r'^### .*$', text, flags=re.M)
        assert not re.search('^- ', before, re.M) and all(re.search('^- ', part, re.M) for part in parts), name


def test_changelog_links_to_the_changes_of_each_version():
    url, names = settings()['git_url'], [name for name, *_ in sections()]
    links = dict(re.findall(r'^\[([^]]+)\]: (\S+)$', CHANGELOG, re.M))
    expected = {names[-1]: f'{url}/releases/tag/v{names[-1]}'}
    for newer, older in zip(names, names[1:]):
        expected[newer] = f"{url}/compare/v{older}...{'HEAD' if newer == 'Unreleased' else 'v' + newer}"
    assert links == expected
