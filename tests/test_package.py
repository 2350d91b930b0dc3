"Test what `import bgblur` offers, and what help() says about it."
import pydoc
import re
import sys
from inspect import signature

import pytest
from conftest import run

import bgblur

LIGHT = "import sys, bgblur; assert 'Blurrer' in dir(bgblur); print(sorted({'cv2', 'numpy', 'av', 'onnxruntime', 'typer'} & {*sys.modules}))"


def test_import_is_light():
    result = run(sys.executable, '-c', LIGHT)
    assert (result.stdout, result.stderr) == ('[]\n', '')


def test_names_are_loaded_from_their_modules():
    from bgblur import Blurrer, blur_video
    assert (Blurrer.__module__, blur_video.__module__) == ('bgblur.pipeline', 'bgblur.video')
    assert {*bgblur.__all__} <= {*bgblur.EXPORTS} and {*bgblur.__all__, '__version__'} <= {*dir(bgblur)}
    for name in bgblur.__all__: assert callable(getattr(bgblur, name)), name


@pytest.mark.parametrize('first', ['import bgblur.live, bgblur.explore', 'from bgblur.live import Live', 'from bgblur import live', ''])
def test_explore_and_live_are_functions_in_any_order_of_imports(first):
    code = f'{first}\nfrom bgblur import explore, live\nimport bgblur\nprint(explore.__name__, live.__name__, bgblur.live is live)'
    assert run(sys.executable, '-c', code).stdout == 'explore live True\n'


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'bgblur' has no attribute 'blurr'"): bgblur.blurr
    with pytest.raises(ImportError, match='blurr'): from bgblur import blurr  # noqa: F401


def test_help_explains_the_package():
    text = pydoc.plain(pydoc.render_doc(bgblur))
    assert "blur_video('me.mp4', 'me-blurred.mp4')" in text and 'class Blurrer' in text


@pytest.mark.parametrize('name', bgblur.__all__)
def test_help_explains_each_parameter(name):
    text, function = pydoc.plain(pydoc.render_doc(getattr(bgblur, name))), getattr(bgblur, name)
    params = [p.name for p in signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD and p.name != 'args']
    missing = [p for p in params if not re.search(rf'^[| ]*(\w+, )*{p}(, \w+)*: ', text, re.M)]
    assert not missing


def test_help_shows_how_to_replace_parts():
    text = pydoc.plain(pydoc.render_doc(bgblur.Blurrer))
    for part in ('segmenter', 'matte', 'background'): assert f'# {part}' in text
