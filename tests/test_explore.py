"Each control of the explorer changes something, the shown image is never out of date, and its settings fit the command."
import shlex
import sys
import threading
import time
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np
import pytest
from typer.main import get_command

from bgblur.cli import app
from bgblur.core.errors import BgblurError
from bgblur.core.quality import QUALITIES
from bgblur.core.settings import SETTINGS
from bgblur.explore import Explorer
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader
from bgblur.matte import Matte
from bgblur.ui.choices import FIELDS
from bgblur.ui.sentences import SENTENCES
from conftest import CLIP, ROOT, bgblur, until, write_clip

sys.path.insert(0, str(ROOT/'tools'/'bench'))
import controls  # noqa: E402

NAMES = controls.all_controls()
SMALL = 320, 180


def test_fields_and_controls_exist():
    assert {*FIELDS.values()} <= {*SETTINGS} and {*FIELDS} <= {*NAMES}


def test_each_control_that_is_a_field_is_listed():
    assert {*NAMES} & {*SETTINGS} <= {*FIELDS}


def test_each_control_has_a_sentence():
    assert {*NAMES} == {*SENTENCES}


@lru_cache
def small_explorer(kind):
    "Return an explorer for few and small frames of a kind."
    imgs = [cv2.resize(img, SMALL) for img in controls.frames_for(kind, 12)]
    return Explorer(imgs[0] if kind == 'crisp_image' else imgs)


@pytest.mark.parametrize('name', NAMES)
def test_each_control_acts_between_its_ends(name):
    "The image, alpha or the flicker changes. At both ends all frames keep their shape, and there is no error."
    explorer = small_explorer(name if name in ('people', 'person', 'scene_cut', 'crisp_image') else '')
    if name == 'person': explorer = small_explorer('people')
    explorer.reset()
    explorer.set(**controls.NEEDS.get(name, {}))
    found = controls.effect(explorer, name)
    assert found['image_max'] > 1 or found['alpha_max'] > .01 or found['flicker'][0] != found['flicker'][1], found
    shape = explorer.frames[0].shape
    for end in found['ends']:
        explorer.set(**{name: end})
        assert {explorer.rendering.results[i].out.shape for i in range(len(explorer.frames))} == {shape}


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
    render = explorer.renderer.render
    monkeypatch.setattr(explorer.renderer, 'render', lambda *args: made.append(render(*args)) or made[-1])
    for quality in ('best', 'fast', 'good'):
        explorer.set(quality=quality)
        recipe = QUALITIES[quality]
        assert len(made) == 1 and made[0].quick.quality == recipe and vars(made[0].quick.matte).items() >= recipe.matte.items()
        made.clear()


class Screen:
    "Note which images the player would show, as a browser with a view of it does."
    def __init__(self, explorer):
        self.images, self.explorer = {}, explorer
        explorer.newest.delay = 0
        explorer.player._send_image = self.show
        explorer.player._answer(None, {'kind': 'ready'}, [])
        explorer._ready(None, {'kind': 'ready'}, [])

    def show(self, layer, index): self.images[layer, index] = self.explorer.player.images[layer][index]

    def is_complete(self):
        player, n = self.explorer.player, len(self.explorer.frames)
        return len([k for k in self.explorer.sent if k[0] == 'result']) == n and len(player.strip) == n

    def expected(self):
        "Return the exact images for the present settings, from an explorer of its own."
        other = Explorer(self.explorer.frames).set(**self.explorer.settings())
        other.player.has_view = False
        for i in range(len(other.frames)): other.put(i, other.rendering.results[i])
        return {(layer, i): img for layer in ('result', 'alpha') for i, img in other.player.images[layer].items()}, other.strip()


def test_no_image_is_out_of_date_after_fast_changes(frames):
    "Many changes follow each other quickly, in the midst of the work on the ones before. The last one wins."
    explorer = Explorer([cv2.resize(f, SMALL) for f in frames[100:112]])
    screen = Screen(explorer)
    for i in range(25):
        explorer.set(feather=float(i % 7), strength=21 + 10*i, hold_seconds=.1*(i % 3), frame=i % 12)
        time.sleep(.004*(i % 5))
    until(screen.is_complete)
    images, strip = screen.expected()
    assert {k: img for k, img in screen.images.items() if k in images} == images
    assert explorer.player.strip == strip and explorer.error == ''


def test_a_change_stops_the_work_before(frames):
    "A new setting does not wait for the frames of the old one."
    explorer = Explorer([cv2.resize(f, SMALL) for f in frames[:12]])
    screen = Screen(explorer)
    until(screen.is_complete)
    steps, started, go_on = explorer._steps, threading.Event(), threading.Event()

    def slow():
        for show in steps():
            started.set()
            assert go_on.wait(60)
            yield show

    explorer._steps = slow
    explorer.set(strength=151)
    assert started.wait(60)
    explorer._steps = steps
    explorer.set(strength=11)
    until(screen.is_complete)
    go_on.set()
    time.sleep(.2)
    images, _ = screen.expected()
    assert {k: img for k, img in screen.images.items() if k in images} == images


def test_results_are_those_of_the_real_stream(frames):
    "Also from the middle on, and with settings that look at other frames."
    imgs = [cv2.resize(f, SMALL) for f in frames[100:116]]
    explorer = Explorer(imgs).set(hold_seconds=1., lookahead=7, skip=3, frame=9)
    expected = list(explorer.blurrer().stream((f, i/25) for i, f in enumerate(imgs)))
    assert cv2.absdiff(explorer.result, expected[9]).max() <= 2
    assert isinstance(explorer.rendering.quick.matte, Matte) and explorer.values()['frame'] == 9


def test_a_window_of_a_long_clip_has_its_real_times(tmp_path, frames):
    pts = [i*2 + (i % 3 == 1) for i in range(90)]     # an uneven rate
    path = write_clip(tmp_path/'long.mp4', [cv2.resize(f, SMALL) for f in frames[:90]], pts=pts, time_base=Fraction(1, 50), audio=None)
    explorer = Explorer(path)
    assert len(explorer.frames) == 60 and explorer.start.max > 0
    np.testing.assert_allclose(explorer.window.times, [p/50 for p in pts[:60]], atol=.001)
    explorer.set(start=1., frame=5)
    assert .98 <= explorer.window.times[0] <= 1.04
    np.testing.assert_allclose(explorer.window.times[1:], [p/50 for p in pts if p/50 > explorer.window.times[0] + .001][:59], atol=.001)
    assert explorer.result.shape == (180, 320, 3)


def test_a_new_explorer_frees_the_memory_of_the_one_before(frames):
    "Jupyter keeps all widgets. The older explorer works on, and computes its results again."
    old = Explorer(frames[:6])
    expected, strip = old.result, old.strip()
    assert old.rendering.results.made
    new = Explorer(frames[:6])
    assert not any(made.made for made in (old.rendering.results, old.rendering.alphas, old.rendering.segmented, old.normal.alphas))
    assert (old.result == expected).all() and old.strip() == strip
    assert (old.set(strength=31).result != expected).any() and (new.result == expected).all()


def test_pixels_of_a_chosen_person_are_those_of_the_source(tmp_path, frames):
    "The preview is smaller. It follows the same person as the rendered clip."
    large = cv2.resize(frames[0], None, fx=3, fy=3)
    h, w = large.shape[:2]
    explorer = Explorer(write_clip(tmp_path/'a.mp4', [large]*3, audio=None))
    explorer.set(person=f'{w//2},{6*h//10}')
    sharp = explorer.alpha.mean()
    assert explorer.frames[0].shape[1] < w and explorer.last.person == 'followed' and sharp > .05
    assert explorer.set(person='50%,60%').alpha.mean() == pytest.approx(sharp, rel=.01)
    explorer.set(person=f'{w - 1},0')
    assert explorer.alpha.max() == 0 and explorer.last.person == 'waiting'


def test_frames_of_different_sizes_are_refused(frames):
    with pytest.raises(BgblurError, match='different sizes'): Explorer([frames[0], frames[0][:100]])
