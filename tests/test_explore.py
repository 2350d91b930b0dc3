"The explorer's table of settings agrees with `Settings` and with the real command."
import shlex

import cv2
import numpy as np
import pytest
from typer.main import get_command

from bgblur.cli import app
from bgblur.core.quality import QUALITIES
from bgblur.core.settings import SETTINGS
from bgblur.explore import FIELDS, BlurrerControls, Explorer
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader
from conftest import CLIP, bgblur, write_clip


def all_controls():
    controls = BlurrerControls()
    return {'background', *controls.general, *(k for cs in controls.controls.values() for k in cs)}


def test_fields_and_controls_exist():
    assert {*FIELDS.values()} <= {*SETTINGS} and {*FIELDS} <= all_controls() | {'wrap'}


def test_each_control_that_is_a_field_is_listed():
    assert all_controls() & {*SETTINGS} <= {*FIELDS}


def test_command_has_only_existing_options():
    command = Explorer(CLIP).set(background='lens', strength=91, people='main').to_command()
    options = {o for p in get_command(app).commands['video'].params for o in p.opts}
    assert {word for word in command.split() if word.startswith('--')} == {'--background', '--strength', '--people'} <= options


def pixels(path):
    "Return the frames of a video, or an image as a list of one frame."
    if path.suffix == '.png': return [cv2.imread(str(path))]
    with VideoReader(path) as reader: return [to_bgr(f) for f in reader]


@pytest.mark.parametrize('quality', QUALITIES)
@pytest.mark.parametrize('kind', ['.png', '.mp4'])
def test_printed_command_gives_what_render_gives(tmp_path, frames, kind, quality):
    "Also for the default quality, which is another one for an image."
    src = tmp_path/f'me{kind}'
    if kind == '.png': cv2.imwrite(str(src), frames[0])
    else: write_clip(src, frames[:6], audio=None)
    explorer = Explorer(src)
    assert explorer.quality.value == {'.png': 'best', '.mp4': 'good'}[kind]
    explorer.set(quality=quality, people='main', strength=91)
    explorer.render(tmp_path/f'rendered{kind}')
    command = shlex.split(explorer.to_command().replace('SRC', shlex.quote(str(src))))
    assert bgblur(*command[1:], '-o', tmp_path/f'printed{kind}').returncode == 0
    a, b = (pixels(tmp_path/f'{name}{kind}') for name in ('rendered', 'printed'))
    assert len(a) == len(b) and (np.stack(a) == np.stack(b)).all()


def test_a_change_of_quality_computes_once(monkeypatch, frames):
    "It moves several controls, but the result appears once, with the whole recipe."
    explorer, made = Explorer(frames[:2]), []
    blurrer = explorer.blurrer
    monkeypatch.setattr(explorer, 'blurrer', lambda: made.append(blurrer()) or made[-1])
    for quality in ('best', 'fast', 'good'):
        explorer.set(quality=quality)
        recipe = QUALITIES[quality]
        assert len(made) == 1 and made[0].quality == recipe and vars(made[0].matte).items() >= recipe.matte.items()
        made.clear()
