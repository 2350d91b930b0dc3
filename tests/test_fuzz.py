"""Test with frames, masks, sizes and options that hypothesis generates, and with files damaged at random.

This short form uses the same inputs in every run. `make fuzz` tries other inputs for a given time.
"""
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import ROOT, run
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

from bgblur import background as G
from bgblur import blur as B
from bgblur import matte, predict
from bgblur.core import metrics
from bgblur.background import Blur, COLOURS, ColourBackground, ImageBackground, Lens
from bgblur.camera import sinks, sources
from bgblur.core.attention import people_box
from bgblur.core.checks import check_frame
from bgblur.core.errors import BgblurError
from bgblur.core.frame import YuvFrame
from bgblur.core.masks import fill_holes, remove_small_components
from bgblur.matte import Matte
from bgblur.pipeline import Blurrer
from bgblur.predict import load_segmenter
from bgblur.ui import choices, controls, show
from bgblur.ui.window import Clip

# `bgblur.live` is a function; here we need the module
live = import_module('bgblur.live')

# tools/check/fuzz.py sets the number; a run starts with the inputs that failed in the one before
EXAMPLES = int(os.environ.get('FUZZ_EXAMPLES', 0))
fuzz = settings(max_examples=EXAMPLES or 20, derandomize=not EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck),
                print_blob=False, database=DirectoryBasedExampleDatabase(ROOT/'output'/'fuzz'/'examples') if EXAMPLES else None)

often = settings(fuzz, max_examples=5*fuzz.max_examples)      # for fast tests

# numpy only warns about a division by zero; the NaN would appear later
pytestmark = pytest.mark.filterwarnings('error')

SEGMENTER = load_segmenter()


@pytest.fixture(autouse=True)
def stop_in_time():
    if time.time() > float(os.environ.get('FUZZ_UNTIL', 'inf')): pytest.skip('the time is up')


# -- images and their memory layouts -------------------------------------------------------------------------------

def spaced(a):
    big = np.full((2*a.shape[0], 3*a.shape[1], *a.shape[2:]), 77, a.dtype)
    big[1::2, 2::3] = a
    return big[1::2, 2::3]


def window(a):
    big = np.full((a.shape[0] + 5, a.shape[1] + 7, *a.shape[2:]), 77, a.dtype)
    big[2:-3, 3:-4] = a
    return big[2:-3, 3:-4]


def unaligned(a):
    memory = np.zeros(a.nbytes + 1, np.uint8)
    out = memory[1:].view(a.dtype).reshape(a.shape)
    out[...] = a
    return out


def repeated(a):
    "Return `a` with the first row in place of all others, stored once."
    return np.lib.stride_tricks.as_strided(a[:1].copy(), a.shape, (0, *a.strides[1:]))


LAYOUTS = {
    'plain': np.copy,
    'Fortran': np.asfortranarray,
    'upside down': lambda a: a[::-1].copy()[::-1],
    'turned': lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    'backwards in the last axis': lambda a: a[..., ::-1].copy()[..., ::-1],      # as frame[..., ::-1], RGB
    'transposed': lambda a: a.swapaxes(0, 1).copy().swapaxes(0, 1),
    'planes': lambda a: np.moveaxis(np.moveaxis(a, -1, 0).copy(), 0, -1),
    'spaced': spaced,
    'window': window,
    'unaligned': unaligned,
    'repeated': repeated,
}
# OpenCV reads past the end of a broadcast column; as_alpha must prevent that
COLUMN = dict(LAYOUTS, broadcast=lambda a: np.broadcast_to(a[:1].copy(), a.shape))


def laid_out(a, layout, locked=False):
    a = COLUMN[layout](a)
    if locked: a.flags.writeable = False
    return a


@dataclass(frozen=True)
class Made:
    "Describe an array: its content and its memory layout."
    shape: tuple
    kind: str
    layout: str = 'plain'
    locked: bool = False
    seed: int = 0

    @property
    def plain(self):
        a = self._values()
        return np.ascontiguousarray(np.broadcast_to(a[:1], a.shape)) if self.layout in ('repeated', 'broadcast') else a

    def laid_out(self): return laid_out(self.plain, self.layout, self.locked)

    def _ramps(self):
        (h, w) = self.shape
        return np.mgrid[:h, :w]/np.reshape((max(1, h - 1), max(1, w - 1)), (2, 1, 1))

    def _rng(self): return np.random.default_rng(self.seed)


class Image(Made):
    KINDS = 'noise', 'black', 'white', 'one colour', 'ramp', 'checks', 'person'

    def _values(self):
        rng, (y, x), shape = self._rng(), self._ramps(), (*self.shape, 3)
        colour, other = rng.integers(0, 256, (2, 3))
        return {'noise': lambda: rng.integers(0, 256, shape), 'black': lambda: np.zeros(shape), 'white': lambda: np.full(shape, 255),
                'one colour': lambda: np.broadcast_to(colour, shape), 'ramp': lambda: np.dstack([255*x, 255*y, 127*(x + y)]),
                'checks': lambda: 255*(np.indices(self.shape).sum(0) % 2)[..., None]*np.ones(3),
                'person': lambda: np.where((np.hypot(y - .6, x - .5) < .35)[..., None], colour, other)
                + rng.integers(-3, 4, shape)}[self.kind]().clip(0, 255).astype(np.uint8)


class Alpha(Made):
    KINDS = 'none', 'all', 'noise', 'disc', 'hard disc', 'half', 'speck', 'hole', 'almost none', 'almost all', 'stripes', 'faint'

    def _values(self):
        rng, (y, x) = self._rng(), self._ramps()
        r, flat, at = np.hypot(y - .5, x - .5), np.ones(self.shape), tuple(rng.integers(self.shape))
        speck = np.zeros(self.shape)
        speck[at] = 1
        return {'none': 0*flat, 'all': flat, 'noise': rng.random(self.shape), 'disc': np.clip(2 - 5*r, 0, 1), 'hard disc': r < .4,
                'half': .5*flat, 'speck': speck, 'hole': 1 - speck, 'almost none': 1e-40*flat, 'almost all': flat*(1 - 2.**-24),
                'stripes': np.indices(self.shape)[1] // 3 % 2, 'faint': .015*flat}[self.kind].astype(np.float32)


def made(cls, shape):
    return st.builds(cls, st.just(shape) if isinstance(shape, tuple) else shape, st.sampled_from(cls.KINDS), st.sampled_from(list(LAYOUTS)),
                     st.booleans(), st.integers(0, 9))


side = st.one_of(st.integers(1, 12), st.integers(1, 80), st.sampled_from([8, 9, 16, 17, 60, 61, 119, 120, 121, 122, 127]))
thin = st.sampled_from([(1, 1), (1, 640), (640, 1), (3, 333), (130, 7)])
large = st.sampled_from([(239, 240), (319, 320), (320, 321), (321, 322), (360, 640), (480, 481), (641, 480), (961, 322)])
strips = st.sampled_from([(16, 8192), (8192, 16), (2, 33000), (33000, 1), (121, 2000)])
# large shapes take a hundred times as long as the others
shapes = st.one_of(*12*[st.tuples(side, side)], thin, thin, *[large, strips]*bool(EXAMPLES))
images = made(Image, shapes)


@st.composite
def same_size(draw, *classes, shape=shapes):
    "Draw one array of each class, all of one size."
    s = draw(shape)
    return [draw(made(c, s)) for c in classes]


def equal(a, b):
    if isinstance(a, (tuple, list)): return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b))
    if isinstance(a, YuvFrame): return equal((a.y, a.u, a.v), (b.y, b.u, b.v))
    if isinstance(a, np.ndarray): return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)
    return a == b or a is b is None


def pure(f, *args):
    "Return `f(*args)`. Check that it changes no argument and that memory layouts don't matter."
    given = [a.laid_out() if isinstance(a, Made) else a for a in args]
    out = f(*given)
    for a, g in zip(args, given): assert not isinstance(a, Made) or np.array_equal(a.plain, g), 'an argument was changed'
    assert equal(out, f(*(a.plain if isinstance(a, Made) else a for a in args))), 'strides matter'
    return out


def is_image(a, shape, channels=3): assert isinstance(a, np.ndarray) and a.dtype == np.uint8 and a.shape == (*shape, channels)


def is_alpha(a, shape):
    assert isinstance(a, np.ndarray) and a.dtype == np.float32 and a.shape == shape
    assert a.min() >= 0 and a.max() <= 1      # fails for NaN


def refuses(f, *args, **kwargs):
    "Check that the call raises a `BgblurError` of one sentence."
    with pytest.raises(BgblurError) as caught: f(*args, **kwargs)
    text = str(caught.value)
    assert text.endswith('.') and '\n' not in text and len(text) < 500, text


# -- invalid values ------------------------------------------------------------------------------------------------

class NotAnArray:
    "Look like an array without being one."
    shape, dtype, ndim, size = (4, 4, 3), np.dtype(np.uint8), 3, 48


no_arrays = [lambda: None, lambda: [], lambda: '', lambda: 'frame.png', lambda: 3, lambda: .5, lambda: [[1, 2], [3]], NotAnArray, dict, object,
             lambda: b'abc', lambda: range(3)]
bad_frames = st.sampled_from([
    *no_arrays, lambda: np.zeros((4, 4, 3)), lambda: np.zeros((4, 4), np.uint8), lambda: np.zeros((4, 4, 1), np.uint8),
    lambda: np.zeros((0, 4, 3), np.uint8), lambda: np.zeros((4, 0, 3), np.uint8),
    lambda: np.zeros((1, 4, 4, 3), np.uint8), lambda: np.zeros((3, 4, 5), np.uint8), lambda: np.uint8(3), lambda: np.zeros((), np.uint8),
    lambda: np.zeros((4, 4, 3), np.int8), lambda: np.zeros((4, 4, 3), np.uint16), lambda: np.zeros((4, 4, 3), bool),
    lambda: np.full((4, 4, 3), None), lambda: np.zeros((4, 4, 3), complex), lambda: np.zeros((4, 4, 3), 'U1'), lambda: np.zeros((4, 4, 3), 'M8[s]'),
    lambda: np.zeros((4, 4), 'u1,u1,u1'), lambda: np.zeros((4, 4, 3)).tolist()])
# a frame may have alpha, other images may not
bad_images = bad_frames | st.just(lambda: np.zeros((4, 4, 4), np.uint8))


def alpha_with(value):
    def make():
        a = np.full((6, 5), .5, np.float32)
        a[2, 3] = value
        return a
    return make


bad_alphas = st.sampled_from([
    *no_arrays, *(alpha_with(x) for x in (np.nan, np.inf, -np.inf, 1.5, -.5, 255, 1e30)), lambda: np.zeros((6, 5, 1), np.float32),
    lambda: np.zeros((1, 6, 5), np.float32), lambda: np.zeros((0, 5), np.float32), lambda: np.zeros((6, 0), np.float32),
    lambda: np.full((6, 5), None), lambda: np.full((6, 5), 'a'), lambda: np.zeros((6, 5), complex), lambda: np.zeros((6, 5), 'M8[s]'),
    lambda: np.full((6, 5), 255, np.uint8), lambda: np.full((6, 5), -1, np.int8), lambda: np.full((6, 5), 1e300), lambda: np.float32(.5)])
bad_numbers = st.sampled_from([None, 'much', '', [61], (), np.arange(3), 1j, object(), np.nan, -np.inf, -51, -1e9, np.float32(np.nan)])
too_much = st.sampled_from([np.inf, 1e9, 10**400])
bad_widths = st.one_of(bad_numbers, too_much, st.sampled_from([0, -0., .99, np.float16(.5)]))


# -- 01_blur -------------------------------------------------------------------------------------------------------

widths = st.one_of(st.integers(1, 9), st.floats(1, 61), st.sampled_from([61, 245, 1001]))
kernels = st.one_of(st.integers(1, 9), st.floats(1, 61))      # wide kernels are slow at full resolution


@st.composite
def backgrounds(draw):
    kind = draw(st.sampled_from(['blur', 'lens', 'colour', 'image']))
    if kind == 'colour': return ColourBackground(draw(st.sampled_from(list(COLOURS))))
    if kind == 'image': return ImageBackground(draw(images).laid_out())
    return {'blur': Blur, 'lens': Lens}[kind](draw(widths))


@st.composite
def scenes(draw):
    "Draw a frame, its alpha, an alpha at the frame's size or a smaller one, and a second image of the frame's size."
    h, w = shape = draw(shapes)
    work = draw(st.sampled_from([shape, (max(1, h//2), max(1, w//2)), (max(1, h//4), w)]))
    return draw(made(Image, shape)), draw(made(Alpha, shape)), draw(made(Alpha, work)), draw(made(Image, shape))


@fuzz
@given(images, kernels)
def test_blur(img, width):
    is_image(pure(B.blur, img, width), img.shape)


def column(kind): return Alpha((640, 1), kind, 'broadcast')


@fuzz
@example((Image((640, 1), 'noise'), column('half'), column('half'), Image((640, 1), 'noise')), np.float32)
@given(scenes(), st.sampled_from([np.float32, np.float16, float, bool, int]))
def test_composite(scene, kind):
    fg, alpha, _, bg = scene
    out = pure(lambda f, a, b: B.composite(f, a.astype(kind), b), fg, alpha, bg)
    is_image(out, fg.shape)
    a = alpha.plain.astype(kind)[..., None].astype(np.float32)
    assert abs(out - (a*fg.plain.astype(float) + (1 - a)*bg.plain)).max() < .51


@fuzz
@example(Image((640, 1), 'noise'), column('half'), 5)
@given(images, made(Alpha, shapes), kernels)
def test_masked_blur(img, mask, width):
    is_image(pure(B.masked_blur, img, mask, width), mask.shape)


@fuzz
@given(scenes(), backgrounds(), st.floats(0, 1), st.sampled_from(list(LAYOUTS)))
def test_person_in_front_of_a_background(scene, background, amount, layout):
    "Test all steps of a `Blurrer` that follow alpha."
    frame, alpha, work, new = scene
    colours = pure(B.estimate_layers, frame, work)
    for c in colours: assert c.dtype == np.float32 and c.shape == colours[0].shape and c.min() >= 0 and c.max() <= 255
    last = [laid_out(c, 'plain', True) for c in colours]
    for c in pure(B.estimate_layers, frame, work, last): assert c.min() >= 0 and c.max() <= 255
    fg, bg = (laid_out(np.roll(c, 1, 0), layout, True) for c in colours)
    person = pure(B.foreground, frame, work, fg, bg)
    is_image(person, frame.shape)
    if work.shape == frame.shape: assert (person == frame.plain)[np.isin(work.plain, (0, 1))].all()
    is_image(pure(background, frame, alpha, bg), frame.shape)
    is_image(pure(B.replace_background, frame, work, fg, bg, new), frame.shape)
    is_image(pure(G.light_wrap, frame, alpha, new, amount), frame.shape)
    cut = pure(G.cutout, frame, alpha, fg, bg)
    is_image(cut, frame.shape, 4)
    assert abs(cut[..., 3] - 255.*alpha.plain).max() < .51


@fuzz
@given(same_size(Image, Alpha, shape=st.tuples(side, side)))
def test_estimate_foreground_background(pair):
    img, alpha = pair
    out = pure(lambda img, alpha: B.estimate_foreground_background(img.astype(np.float32), alpha), img, alpha)
    assert out.dtype == np.float32 and out.shape == (2, *img.shape, 3) and out.min() >= 0 and out.max() <= 255


@fuzz
@given(images, st.tuples(side, side))
def test_resize_to_fill(img, size):
    is_image(pure(G.resize_to_fill, img, size), size[::-1])


@often
@given(bad_images, bad_alphas, bad_widths, bad_numbers | too_much)
def test_blur_refuses_bad_arguments(image, mask, width, number):
    good, half, small = np.zeros((6, 5, 3), np.uint8), np.full((6, 5), .5, np.float32), np.zeros((6, 5, 3), np.float32)
    if not isinstance(image(), np.ndarray): refuses(B.blur, image(), 5)
    refuses(B.blur, good, width)
    refuses(B.masked_blur, image(), half)
    refuses(B.masked_blur, good, mask())
    refuses(B.masked_blur, good, half, width)
    refuses(B.composite, image(), half, good)
    refuses(B.composite, good, half, image())
    refuses(B.composite, good, mask(), good)
    refuses(B.composite, good, half[1:], good)
    refuses(B.blur_background, good, half, small, width)
    refuses(Blur, width)
    refuses(Lens, width)
    refuses(Lens, 61, number)
    refuses(G.light_wrap, good, half, good, number)
    refuses(B.replace_background, good, half, small, small, image())
    if isinstance(image(), (np.ndarray, str)): refuses(ImageBackground, image())


@often
@given(st.one_of(bad_numbers, bad_images.map(lambda f: f()), st.text(), st.lists(st.one_of(st.floats(), st.text(max_size=2), st.none()), max_size=4),
                 st.sampled_from(['#12345', '#12345g', 'gren', '#1234567', (1, 2), (1, 2, 300), (-1, 0, 0), (1, 2, np.nan), 'ab', 'abc'])))
def test_parse_colour(colour):
    try: bgr = G.parse_colour(colour)
    except BgblurError: return refuses(G.parse_colour, colour)
    assert len(bgr) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in bgr)


# -- 02_matte ------------------------------------------------------------------------------------------------------

probabilities = st.tuples(side, side).flatmap(lambda s: st.lists(made(Alpha, s), min_size=5, max_size=5))


@fuzz
@given(same_size(Alpha, Alpha), st.floats(0, 1), st.floats(-20, 20))
def test_functions_of_matte(pair, share, px):
    p, last = pair
    for out in (pure(fill_holes, p), pure(fill_holes, p, share), pure(remove_small_components, p), pure(remove_small_components, p, share, last),
                pure(matte.feather, p, px), pure(matte.stretch, p), pure(matte.settle, p)): is_alpha(out, p.shape)
    x, y, w, h = pure(people_box, p)
    assert 0 <= x < x + w <= p.shape[1] and 0 <= y < y + h <= p.shape[0]


@fuzz
@given(scenes())
def test_refine(scene):
    frame, _, p, _ = scene
    is_alpha(pure(matte.refine, frame, p), frame.shape)


@fuzz
@given(st.lists(st.floats(1, 5), max_size=3), st.data())
def test_temporal_average(distances, data):
    p, *others = data.draw(same_size(*[Alpha]*(1 + len(distances)), shape=st.just((9, 12))))
    greys = [np.random.default_rng(i).integers(0, 256, p.shape).astype(np.uint8) for i in range(1 + len(distances))]
    flows = [np.random.default_rng(i).normal(0, 9, (*p.shape, 2)).astype(np.float32) for i in range(len(distances))]
    is_alpha(pure(lambda p, *qs: matte.temporal_average((greys[0], p), list(zip(distances, greys[1:], qs, flows))), p, *others), p.shape)


two_sizes = st.lists(shapes, min_size=2, max_size=2)


def clips(sizes=two_sizes, most=5):
    "Return a strategy for frames with their times, whose size may change and change back."
    times = st.one_of(st.none(), st.floats(-1, 10), st.sampled_from([0, 1/25, 1e6, 1e300, np.inf, -np.inf, np.nan]))
    return sizes.flatmap(lambda s: st.lists(st.tuples(made(Image, st.sampled_from(s)), times), min_size=1, max_size=most))


@st.composite
def mattes(draw):
    still = draw(st.floats(0, 5))
    return dict(hold_seconds=draw(st.sampled_from([0, .6, 1e-6, 60])), still_below=still, moving_above=still + draw(st.floats(.1, 50)),
                lookahead=draw(st.sampled_from([2, 1, 0, 3])), people=draw(st.sampled_from(['all', 'main'])),
                feather=draw(st.sampled_from([0, 0, 3, -3, 50, -50])), scene_cut=draw(st.floats(0, 255)))


class Buffers:
    "Return arrays like a loop that reads every frame into one buffer. Call `overwrite` on arrays after their use."
    def __init__(self, reuse): self.reuse, self.known = reuse, {}

    def __call__(self, x):
        if not self.reuse: return x.laid_out()
        a = self.known.setdefault((x.shape, type(x)), x.plain.copy())
        a[...] = x.plain
        return a

    def overwrite(self, *arrays):
        for a in arrays:
            if a.flags.writeable: a[...] = a.dtype.type(1)


@fuzz
@given(clips(), probabilities, mattes(), st.booleans(), st.booleans())
def test_matte(frames, ps, options, reuse, with_lookahead):
    "Check that overwriting arrays after a call changes no later result."
    one, other, get = Matte(**options), Matte(**options), Buffers(reuse)
    coming = list(zip(frames, ps))
    for _ in range(2):
        for i, ((frame, time), p) in enumerate(coming):
            ahead = [(f, q) for (f, _), q in coming[i+1:i+1+options['lookahead']]]*with_lookahead
            f, q = get(frame), get(p)
            out = one(f, q, time, [(f.laid_out(), q.laid_out()) for f, q in ahead])
            is_alpha(out, frame.shape)
            assert equal(f, frame.plain) and equal(q, p.plain), 'an argument was changed'
            assert equal(out, other(frame.plain, p.plain, time, [(f.plain, q.plain) for f, q in ahead])), i
            get.overwrite(f, q, out)
        # the first round must not influence the second one
        one.reset()
        other = Matte(**options)


@often
@given(bad_frames, bad_alphas, bad_numbers | too_much)
def test_matte_refuses_bad_arguments(image, p, number):
    good, half = np.zeros((6, 5, 3), np.uint8), np.full((6, 5), .5, np.float32)
    for option in ('hold_seconds', 'still_below', 'moving_above', 'feather', 'scene_cut'): refuses(Matte, **{option: number})
    for name in (number, 'some', 'ALL', ['all']): refuses(Matte, people=name)
    for lookahead in (number, .5, -1): refuses(Matte, lookahead=lookahead)
    refuses(Matte, still_below=3, moving_above=3)
    m = Matte()
    refuses(m, image(), half)
    refuses(m, good, p())
    refuses(m, good, half, None, [(image(), half)])
    refuses(m, good, half, None, [(good, p())])
    # the refused calls left no trace
    assert equal(m(good, half), Matte()(good, half))


# -- 03_pipeline ---------------------------------------------------------------------------------------------------

def bright(frame): return cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32)/255


def disc(frame):
    h, w = frame.shape[:2]
    y, x = np.ogrid[:h, :w]
    return np.clip(2 - 4*np.hypot((y + .5)/h - .5, (x + .5)/w - .5), 0, 1).astype(np.float32)


class OneBuffer:
    "Predict like `bright`, but always into the same memory."
    def __init__(self): self.memory = {}

    def __call__(self, frame):
        out = self.memory.setdefault(frame.shape, np.zeros(frame.shape[:2], np.float32))
        out[...] = bright(frame)
        return out


def locked(frame): return laid_out(bright(frame), 'Fortran', True)
def fails(frame): raise RuntimeError('of no use')


models = st.sampled_from([lambda: bright, lambda: disc, lambda: lambda f: bright(f) > .5, lambda: lambda f: (bright(f) > .5).astype(np.uint8),
                        lambda: lambda f: disc(f).astype(float), lambda: lambda f: disc(f).astype(np.float16), lambda: locked, OneBuffer,
                        lambda: SEGMENTER])


def returns(x): return lambda frame: np.full(frame.shape[:2], x)


bad_models = st.sampled_from([fails, returns(np.nan), returns(np.inf), returns(-np.inf), returns(2.), returns(-1.), returns(255), returns(None),
              returns('a'), returns(1j), lambda f: None, lambda f: f, lambda f: [], lambda f: .5, lambda f: bright(f)[:-1],
              lambda f: bright(f)[None], lambda f: np.zeros((0, 0)), lambda f: [[1], [2, 3]], lambda f: f.nothing])


@st.composite
def blurrers(draw):
    "Draw a function that makes a `Blurrer`, with the same options in every call."
    net, matte, background = draw(models), draw(mattes()), draw(backgrounds())
    given = dict(crop=draw(st.booleans()), skip=draw(st.sampled_from([0, 5, 40])), max_matte_height=draw(st.sampled_from([480, 480, 2, 60])),
                 wrap=draw(st.sampled_from([None, 0, .5, 1])))

    def make(other=None): return Blurrer(other or net(), Matte(**matte), background, **given)
    make.__qualname__ = f'Blurrer of {matte}, {background}, {given}'
    return make


OUTPUTS = {'image': Blurrer.__call__, 'alpha': Blurrer.alpha, 'cutout': Blurrer.cutout}


def check_output(out, what, shape):
    if what == 'alpha': return is_alpha(out, shape)
    is_image(out, shape, 4 if what == 'cutout' else 3)


@fuzz
@given(blurrers(), clips(), st.lists(st.sampled_from(list(OUTPUTS)), min_size=5, max_size=5), st.booleans())
def test_blurrer(make, frames, whats, reuse):
    one, other, get = make(), make(), Buffers(reuse)
    for _ in range(2):
        for (frame, time), what in zip(frames, whats):
            given = get(frame)
            out = OUTPUTS[what](one, given, time)
            assert not one.n_failed, one.last_error
            check_output(out, what, frame.shape)
            assert equal(given, frame.plain), 'the frame was changed'
            assert equal(out, OUTPUTS[what](other, frame.plain, time))
            get.overwrite(given, out)
        one.reset()
        other = make()


@fuzz
@given(blurrers(), clips(), st.booleans())
def test_stream(make, frames, transparent):
    "Return one image per frame, with and without threads, also if the size changes."
    def stream_images(threads):
        b = make()
        out = list(b.stream(((f.laid_out(), t) for f, t in frames), transparent, threads))
        assert not b.n_failed, b.last_error
        return out
    out = stream_images(True)
    assert len(out) == len(frames)
    for img, (f, _) in zip(out, frames): is_image(img, f.shape, 4 if transparent else 3)
    assert equal(out, stream_images(False))


@fuzz
@given(clips(st.lists(st.tuples(side, side), min_size=2, max_size=2)), mattes(), st.booleans(), st.sampled_from([0, 5]), st.booleans())
def test_stream_of_a_model_with_one_buffer(frames, options, crop, skip, threads):
    "Keep the predictions of waiting frames while the model overwrites its buffer."
    one, other = (Blurrer(net, Matte(**options), crop=crop, skip=skip) for net in (OneBuffer(), bright))
    assert equal(*(list(b.stream(((f.plain, t) for f, t in frames), threads=threads)) for b in (one, other)))


class Changing:
    "Call `net`, which can be replaced."
    def __init__(self, net): self.net = net
    def __call__(self, frame): return self.net(frame)


def resize_only(frame, p, *args): return p if p.shape == frame.shape[:2] else cv2.resize(p, frame.shape[1::-1])


@fuzz
@given(blurrers(), bad_models, st.booleans(), clips(), st.booleans())
def test_failure_hides_the_frame(make, bad, in_matte, frames, late):
    "Hide the frame where model or matte fail, as if the model had found no person."
    one, other = Changing(bright), Changing(bright)
    b, without_person = make(one), make(other)
    if late: assert equal(b(frames[0][0].plain), without_person(frames[0][0].plain))
    other.net = lambda f: np.zeros(f.shape[:2], np.float32)
    b.matte = without_person.matte = resize_only
    if in_matte: b.matte = lambda frame, p, *args: bad(frame)
    else: one.net = bad
    for part in (b, without_person): part.attention.reset()
    for n, (frame, time) in enumerate(frames, 1):
        assert equal(b(frame.laid_out(), time), without_person(frame.plain, time))
        assert not b.alpha(frame.laid_out()).any()
        assert b.n_failed == 2*n and str(b.last_error)


@fuzz
@given(blurrers(), bad_frames)
def test_bad_frames(make, image):
    "Refuse invalid frames. A `Blurrer` works as before afterwards."
    b, good = make(), Image((20, 30), 'person').plain
    for f in (b, b.alpha, b.cutout): refuses(f, image())
    refuses(lambda: list(b.stream([(image(), None)])))
    assert b.n_failed == 0 and equal(b(good), make()(good))


@fuzz
@given(blurrers(), shapes.flatmap(lambda s: same_size(Image, Image, Alpha, shape=st.just(s))))
def test_hidden_pixels_change_nothing(make, given):
    "Whatever a frame with alpha hides, all outputs are the same, and they are images."
    img, other, alpha = (x.plain for x in given)
    x = np.dstack([img, np.rint(255*alpha).astype(np.uint8)])
    y = x.copy()
    y[x[..., 3] == 0, :3] = other[x[..., 3] == 0]
    for call in (Blurrer.__call__, Blurrer.alpha, Blurrer.cutout, Blurrer.with_alpha):
        out = call(make(), x)
        assert equal(out, call(make(), y))
        if out.ndim == 3: is_image(out, img.shape[:2], 3 if call is Blurrer.__call__ else 4)


@often
@given(bad_images, blurrers())
def test_bad_background(image, make):
    b = make()
    b.background = lambda *args: image()
    refuses(b, np.zeros((4, 5, 3), np.uint8))


def yuv_of(img): return sources.bgr_to_yuv(np.ascontiguousarray(img[:len(img)//2*2, :img.shape[1]//2*2]))


even = st.tuples(st.integers(1, 70), st.integers(1, 70)).map(lambda s: (2*s[0], 2*s[1])) | st.sampled_from([(2, 4096), (480, 640), (722, 6)])


@fuzz
@given(clips(st.lists(even, min_size=2, max_size=2)), models, st.floats(36, 1001), st.sampled_from(list(LAYOUTS)), st.lists(st.booleans(), min_size=5, max_size=5))
def test_yuv_planes(frames, net, strength, layout, whole):
    "Mix YUV planes and BGR frames in one `Blurrer`."
    one, other = (Blurrer(net(), background=Blur(strength)) for _ in range(2))
    for (frame, time), bgr in zip(frames, whole):
        if bgr:
            assert equal(one(frame.laid_out(), time), other(frame.plain, time))
            continue
        yuv = yuv_of(frame.plain)
        given = YuvFrame(*(laid_out(p, layout, True) for p in (yuv.y, yuv.u, yuv.v)))
        yuv = YuvFrame(*(p.copy() for p in (given.y, given.u, given.v)))
        out = one(given, time)
        assert not one.n_failed, one.last_error
        assert equal(given, yuv) and out.y.shape == frame.shape and out.u.shape == out.v.shape == (frame.shape[0]//2, frame.shape[1]//2)
        assert out.y.dtype == out.u.dtype == out.v.dtype == np.uint8
        assert equal(out, other(yuv, time))


def plane(h, w, kind=np.uint8): return np.zeros((h, w), kind)


@often
@given(st.sampled_from([(plane(4, 4), plane(2, 2), plane(2, 1)), (plane(5, 4), plane(2, 2), plane(2, 2)), (plane(4, 4), plane(4, 4), plane(4, 4)),
                        (plane(0, 0),)*3, (plane(4, 4, float), plane(2, 2), plane(2, 2)), (None,)*3, (np.zeros((4, 4, 3), np.uint8),)*3, ('y', 'u', 'v')]))
def test_bad_yuv_planes(given): refuses(YuvFrame, *given)


@often
@given(backgrounds())
def test_yuv_only_where_it_is_accepted(background):
    b = Blurrer(disc, background=background)
    yuv = yuv_of(Image((20, 30), 'person').plain)
    if not b.accepts_yuv: refuses(b, yuv)
    refuses(b.cutout, yuv)


@often
@given(bad_numbers)
def test_blurrer_refuses_bad_options(number):
    if number is not None: refuses(Blurrer, disc, wrap=number)
    refuses(Blurrer, disc, skip=number)
    if number is not None: refuses(Blurrer, disc, max_matte_height=number)
    if not callable(number) and not isinstance(number, (str, np.ndarray)) and number is not None: refuses(Blurrer, disc, background=number)


# -- 00_predict ----------------------------------------------------------------------------------------------------

@fuzz
@given(images)
def test_segmenter(img):
    is_alpha(pure(SEGMENTER, img), img.shape)


class Learner:
    "Provide the parts of a fastai learner that bgblur uses."
    def __init__(self, p, second): self.p, self.dls, self.no_bar = p, SimpleNamespace(vocab=['room', 'person'] if second else ['person', 'room']), nullcontext
    def predict(self, rgb): return None, None, np.stack([1 - self.p, self.p][::1 if self.dls.vocab[1] == 'person' else -1])


@fuzz
@given(images, made(Alpha, st.tuples(side, side)), st.booleans())
def test_learner(img, p, second):
    # a constant prediction is refused, so skip it here
    assume(p.plain.max() <= .01 or np.ptp(p.plain) > 1e-6)
    out = pure(lambda img, p: predict.person_probability(Learner(p, second), img), img, p)
    is_alpha(out, img.shape)
    assert p.shape != img.shape or np.array_equal(out, p.plain)


@often
@given(bad_frames)
def test_segmenter_refuses_bad_frames(image):
    refuses(SEGMENTER, image())
    refuses(check_frame, image())
    refuses(predict.person_probability, Learner(np.zeros((3, 3)), True), image())


# -- core/metrics --------------------------------------------------------------------------------------------------

PAIRS = {'mad': 1000, 'mse': 1000, 'grad': np.inf, 'conn': np.inf, 'iou': 1, 'boundary_f': 1}
CLIPS = {'dtssd': 200, 'trail': 1000}
small = st.tuples(st.integers(1, 20), st.integers(1, 20)) | st.sampled_from([(1, 300), (300, 1)])


def is_number(x, most): assert isinstance(x, float) and 0 <= x <= most*(1 + 1e-6)


@fuzz
@example([column('none'), column('none'), Image((640, 1), 'noise'), Image((640, 1), 'noise')])
@given(same_size(Alpha, Alpha, Image, Image, shape=small))
def test_metrics(given):
    a, g, out, ideal = given
    for name, most in PAIRS.items(): is_number(pure(getattr(metrics, name), a, g), most)
    is_number(pure(metrics.halo, out, ideal, a), 99)
    assert metrics.mad(a.plain, a.plain) == metrics.conn(a.plain, a.plain) == metrics.grad(a.plain, a.plain) == 0
    assert metrics.iou(a.plain, a.plain) == metrics.boundary_f(a.plain, a.plain) == 1


@fuzz
@given(small.flatmap(lambda s: st.lists(st.tuples(*(made(c, s) for c in (Alpha, Alpha, Image))), max_size=8)))
def test_metrics_of_clips(rows):
    clip, truth, frames = zip(*rows) if rows else ([],)*3
    for name, most in CLIPS.items():
        is_number(pure(lambda *x: getattr(metrics, name)(x[:len(rows)], x[len(rows):]), *clip, *truth), most)
    is_number(pure(lambda *x: metrics.flicker(x[:len(rows)], x[len(rows):]), *clip, *frames), 1000)


@often
@given(bad_images, bad_alphas)
def test_metrics_refuse_bad_arguments(image, p):
    half, good = np.full((6, 5), .5, np.float32), np.zeros((6, 5, 3), np.uint8)
    for name in PAIRS:
        refuses(getattr(metrics, name), p(), half)
        refuses(getattr(metrics, name), half, p())
        refuses(getattr(metrics, name), p(), p())
    for name in CLIPS: refuses(getattr(metrics, name), [half, half], [half, p()])
    refuses(metrics.halo, good, good, p())
    refuses(metrics.halo, image(), good, half)
    refuses(metrics.halo, good, image(), half)
    refuses(metrics.flicker, [half, p()], [good, good])
    refuses(metrics.flicker, [half, half], [good, image()])


# -- 05_explore, camera and 08_live ----------------------------------------------------------------------------------------

@fuzz
@example([Image((240, 239), 'person'), Alpha((240, 239), 'all')], 0, 18.5, 85)
@given(same_size(Image, Alpha), st.floats(0, 1), st.floats(0, 20), st.integers(1, 100))
def test_functions_of_explore(pair, threshold, softness, quality):
    img, alpha = pair
    for x in pair:
        back = cv2.imdecode(np.frombuffer(pure(show.jpeg, x, quality), np.uint8), cv2.IMREAD_COLOR)
        is_image(back, img.shape)
    is_alpha(pure(choices.hard_mask, img, alpha, None, threshold, softness), img.shape)
    is_alpha(pure(choices.plain_probability, img, alpha), img.shape)
    (one, other) = pure(lambda x: Clip([x, x]).window().frames, img)
    is_image(one, other.shape[:2])
    assert min(one.shape[:2]) <= 360


@often
@given(bad_images)
def test_explore_refuses_bad_frames(image):
    if isinstance(image(), (np.ndarray, type(None), int, float, list)): refuses(lambda x: Clip(x).window(), image())
    refuses(lambda x: Clip(x).window(), [image()])


@often
@given(st.text(max_size=60), st.sampled_from(['', 'threshold, in [0,1]', 'from 0 to 1', '1 or more', 'below 0']), st.floats(-1e6, 1e6))
def test_range_of_sliders(doc, hint, default):
    lo, hi = controls.value_range(hint + doc, default)
    assert np.isfinite([lo, hi]).all()


@fuzz
@given(images, st.lists(st.text(max_size=30), max_size=4))
def test_text_on_images(img, lines):
    is_image(pure(sinks.draw_text, img, lines), img.shape)
    is_image(sinks.placeholder(img.shape[::-1], *lines), img.shape)


@fuzz
@given(same_size(Image, Image), st.one_of(st.none(), made(Alpha, shapes)), st.sampled_from(sinks.PREVIEWS), st.booleans())
def test_preview(pair, alpha, kind, mirror):
    (h, w) = pair[0].shape
    is_image(pure(sinks.preview, sinks.LiveView(kind, mirror), *pair, alpha), (h, 2*w if kind == 'original' else w))


@fuzz
@given(made(Image, even))
def test_yuv_round_trip(img):
    is_image(pure(lambda x: sources.yuv_to_bgr_image(sources.bgr_to_yuv(x)), img), img.shape)


@fuzz
@given(st.lists(st.tuples(*4*[st.floats(0, 1e9)]), max_size=30), st.integers(2, 9))
def test_summary(rows, most):
    samples = live.Samples(most)
    for row in sorted(rows): samples.add(*row)
    report = live.summary(samples, name='', size=(1, 1), dropped=0, n_failed=0, error='')
    assert report.frames == len(rows) and len(samples.rows) <= most and np.isfinite(report.fps) and str(report)


@fuzz
@given(st.lists(st.sampled_from('+-=wtabcpomnhq ä'), max_size=40), st.floats(1, 1001), st.lists(st.text(max_size=3), min_size=1, max_size=3))
def test_keys(keys, strength, names):
    s, view = live.Settings(strength=strength), live.LiveView()
    for k in keys: s, view = live.apply_changes(s, view, live.key_changes(k, s, view, names))
    assert 1 <= s.strength <= 1001 and view.preview in sinks.PREVIEWS and s.background in [*names, 'blur']


# -- 04_video ------------------------------------------------------------------------------------------------------

def test_damaged_files():
    "Try one intact file of each kind, then damaged ones."
    result = run(sys.executable, ROOT/'tools'/'check'/'fuzz.py', '--only', 'files', '--files', 90, '--seed', 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert 'files: 90 tried' in result.stdout and ' 0 findings' in result.stdout
