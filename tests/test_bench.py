"Test `bgblur bench`, the code of `make bench`, and that tables and charts show the measured numbers. No test asserts a speed."
import json
import os
import sys
from dataclasses import dataclass

import cv2
import nbformat
import numpy as np
import pytest
from conftest import BIN, CLIP, ROOT, bgblur, read_frames, run, write_clip

from bgblur.core.errors import BgblurError
from bgblur.core.quality import Quality
from bgblur.speed import Clock, bars

sys.path.insert(0, str(ROOT/'tools'/'bench'))
import clips  # noqa: E402
import curve  # noqa: E402
import presenters  # noqa: E402
import quality  # noqa: E402
import quality_data  # noqa: E402
import steps  # noqa: E402

MEASURED = json.loads((ROOT/'nbs'/'bench.json').read_text())


@pytest.fixture
def clip_folder(tmp_path, frames):
    "Return a folder with a small clip with sound, two paths that are not clips, and a folder for temporary files."
    (tmp_path/'tmp').mkdir()
    (tmp_path/'text.mp4').write_text('This is not a video.\n'*100)
    (tmp_path/'folder.mp4').mkdir()
    write_clip(tmp_path/'me.mp4', [f[:90, :160] for f in frames[:12]])
    return tmp_path


@pytest.fixture
def short_clip(tmp_path, frames): return write_clip(tmp_path/'short.mp4', frames[:6])


def bench_in(folder, *args):
    env = {**os.environ, 'TMPDIR': str(folder/'tmp')}
    return bgblur('bench', *args, cwd=folder, env=env)


# -- the command

def test_bench_prints_tables_and_leaves_no_files(clip_folder):
    def files(): return {p: p.stat().st_mtime_ns for p in clip_folder.rglob('*') if p.name != 'tmp'}
    before = files()
    result = bench_in(clip_folder, 'me.mp4', '--frames', 20, '--rounds', 2)
    assert result.returncode == 0, result.stderr
    # the clip has 12 frames, so it was repeated
    assert result.stdout.startswith('me.mp4: 20 frames of 160×90, 2 rounds')
    first = [line.split('|')[1].strip() for line in result.stdout.split('\n') if line.startswith('|')]
    assert {'bgblur', 'decode + encode alone', 'decode', 'segment', 'matte', 'background', 'encode', 'all'} <= set(first)
    assert files() == before


@pytest.mark.parametrize('src, word', [('missing.mp4', 'no file'), ('text.mp4', 'not a video'), ('folder.mp4', 'folder')])
def test_bench_refuses_a_bad_clip(clip_folder, src, word):
    result = bench_in(clip_folder, src)
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.startswith('bgblur: ') and result.stderr.count('\n') == 1 and word in result.stderr
    assert not list((clip_folder/'tmp').iterdir())


@pytest.mark.parametrize('args, word', [(['--frames', '0'], '--frames'), (['--rounds', '0'], '--rounds')])
def test_bad_arguments(clip_folder, args, word):
    result = bench_in(clip_folder, 'me.mp4', *args)
    assert result.returncode == 2 and word in result.stderr and 'greater than' in result.stderr


def test_speed_needs_neither_learner_nor_explore():
    code = 'import sys, bgblur.speed; print(*(m for m in sys.modules if m.startswith(("bgblur.", "torch", "matplotlib"))))'
    loaded = run(BIN/'python', '-c', code, check=True).stdout.split()
    assert 'bgblur.speed' in loaded
    assert not {'bgblur.learner', 'bgblur.explore', 'bgblur.cli', 'torch', 'matplotlib'} & set(loaded)


# -- make bench

def test_make_bench_measures_each_part(tmp_path):
    old = {'steps': {'floor': [1.]}}
    (tmp_path/'a.json').write_text(json.dumps(old))
    result = run(BIN/'python', ROOT/'tools'/'bench', '--only', 'sizes,memory', '--sizes', '160x90', '--ways', 'bgblur,floor',
                 '--rounds', 2, '--frames', 10, '--at', '5,12', '--clips', tmp_path/'clips', '--json', tmp_path/'a.json')
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path/'a.json').read_text())
    assert found['steps'] == old['steps']       # parts that were not measured again stay
    size = found['sizes']['160x90']
    assert {way: [r['frames'] for r in rs] for way, rs in size['runs'].items()} == {'bgblur': [10, 10], 'floor': [10, 10]}
    assert list(size['stages']) == list(MEASURED['sizes']['640x360']['stages'])
    assert list(found['memory']) == ['5', '12'] and found['memory']['5'] <= found['memory']['12']


@pytest.mark.parametrize('args, word', [(['--only', 'sizes,speed'], 'unknown speed'), (['--ways', 'ours'], 'unknown ours')])
def test_make_bench_rejects_unknown_names(args, word):
    result = run(BIN/'python', ROOT/'tools'/'bench', *args)
    assert result.returncode == 2 and word in result.stderr


def test_stored_steps_are_the_steps_that_make_bench_measures():
    assert list(MEASURED['steps']) == [way for way in steps.WAYS if 'stages' not in way]
    assert all(way in steps.WAYS for way in steps.STEPS)


def test_sample_is_resized_once(tmp_path):
    path = clips.resized_sample(tmp_path, 64, 36)
    made = path.stat().st_mtime_ns
    assert clips.resized_sample(tmp_path, 64, 36) == path and path.stat().st_mtime_ns == made
    assert len(read_frames(path)) == 250 and read_frames(path)[0].shape == (36, 64, 3)
    assert len(read_frames(clips.first_frames(path, 7))) == 7
    noisy = clips.resized_sample(tmp_path, 64, 36, noise=8)
    assert clips.mbit_per_second(noisy) > clips.mbit_per_second(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['64x36-noise-0-7.mp4', '64x36-noise-0.mp4', '64x36-noise-8.mp4']


def test_result_is_beside_the_clip(tmp_path):
    assert clips.result_path(tmp_path/'a.mp4', 'clean edges') == tmp_path/'result-clean-edges.mp4'


# -- the steps

def some_frame(): return cv2.resize(cv2.VideoCapture(str(CLIP)).read()[1][38:263], steps.SIZE)


def test_opencv_loop_changes_each_frame_and_records_its_stages(tmp_path, short_clip):
    seen, clock = [], Clock()
    n, seconds = steps.opencv_loop(short_clip, tmp_path/'out.mp4', lambda img: seen.append(img.shape) or img, clock)
    assert (n, len(clock.rows), set(seen)) == (6, 6, {(360, 640, 3)}) and seconds > 0
    assert all(list(row) == ['read', 'resize', 'write'] for row in clock.rows)
    assert len(read_frames(tmp_path/'out.mp4')) == 6


def test_cheaper_blur_and_blend_are_about_the_same():
    frame, p = some_frame(), np.random.default_rng(0).random((360, 640), np.float32)
    full, quarter = steps.blur_full(frame), steps.blur_quarter(frame)
    assert quarter.shape == frame.shape and cv2.absdiff(full, quarter)[30:-30, 30:-30].mean() < 1
    assert cv2.absdiff(steps.blend_numpy(frame, p, full), steps.blend_opencv(frame, p, full)).max() <= 1


def test_blend_takes_one_image_where_p_is_0_or_1():
    a, b = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    for blend in (steps.blend_numpy, steps.blend_opencv):
        for p, one in ((1, a), (0, b)): assert (blend(a, np.full((8, 8), p, np.float32), b) == one).all()


def test_model_alone_gives_what_predict_gives(short_clip, tmp_path):
    pytest.importorskip('fastai')
    usual, direct = (make()(some_frame()) for make in (steps.small_model, steps.without_predict))
    assert cv2.absdiff(usual, direct).max() <= 1
    n, _, stages = steps.tutorial_stages(short_clip, tmp_path/'out.mp4', steps.make_learner(small=True))
    assert n == 6 and list(stages) == list(MEASURED['parts'])
    assert all(stage['share'] == 1 for stage in stages.values())


@pytest.mark.parametrize('way', ['H.264 and sound', 'clean edges', 'threads', 'YUV planes', 'bgblur', 'floor'])
def test_steps_of_the_loop_write_every_frame(way, tmp_path, short_clip):
    n, seconds = steps.WAYS[way](short_clip, tmp_path/'out.mp4')
    assert n == len(read_frames(tmp_path/'out.mp4')) == 6 and seconds > 0


def test_threads_and_yuv_planes_give_the_same_images(tmp_path, short_clip):
    outs = []
    for way in (steps.clean_edges, steps.threads, steps.yuv_planes):
        way(short_clip, tmp_path/'out.mp4')
        outs.append(read_frames(tmp_path/'out.mp4'))
    for a, b, c in zip(*outs): assert cv2.absdiff(a, b).mean() < .5 and cv2.absdiff(a, c).mean() < 2


def test_steps_run_as_a_process(tmp_path, short_clip):
    result = run(*steps.COMMAND, 'OpenCV blend', short_clip, tmp_path/'out.mp4')
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found['frames'] == 6 and found['memory'] > 50 and found['stages'] == {}


# -- make bench-quality, without its footage

@pytest.fixture(scope='module')
def quality_clip():
    "Return three frames of the sample clip."
    return quality.real_clip(CLIP, 3)


@pytest.mark.parametrize('name', quality.ROWS)
def test_quality_ways_give_alphas_and_images(name, quality_clip):
    alphas, (image,), trusts = quality.ROWS[name](quality_clip, [1])
    assert [a.shape for a in alphas] == [f.shape[:2] for f in quality_clip['frames']]
    assert all(a.dtype == np.float32 and 0 <= a.min() <= a.max() <= 1 for a in alphas)
    assert image.dtype == np.uint8 and image.shape == quality_clip['frames'][1].shape
    assert all(0 <= t <= 1 for t in trusts)


def test_trusts_are_measured_with_a_second_opinion_only(quality_clip):
    assert quality.ROWS['good'](quality_clip, [])[2] and not quality.ROWS['simplest'](quality_clip, [])[2]


def test_recipes_differ_and_include_later_parts(monkeypatch):
    assert {'simplest', 'fast', 'good', 'best'} <= set(quality.recipes())
    assert all(q != quality.LEVELS['good'] for name, q in quality.LEVELS.items() if name != 'good')

    @dataclass(frozen=True)
    class Later(Quality):
        edge: float = 0.
    good = Later('good', edge=.5, matte={'hold_seconds': .3, 'glow': 1})
    monkeypatch.setattr(quality, 'Quality', Later)
    monkeypatch.setattr(quality, 'as_quality', lambda name: good)
    found = quality.recipes()
    assert found['good: without edge'].edge == 0 and found['good: without glow'].matte == {'hold_seconds': .3}


def test_rows_are_chosen_by_name():
    assert set(quality.chosen_rows(['simplest', 'good*'])) == {n for n in quality.ROWS if n == 'simplest' or n.startswith('good')}
    assert quality.chosen_rows(None) is quality.ROWS
    for choose in (quality.chosen_rows, curve.chosen):
        with pytest.raises(BgblurError, match="'better'.*good"): choose(['good', 'better'])


@pytest.mark.parametrize('script', ['quality.py', 'curve.py'])
def test_unknown_row_is_one_sentence(script):
    result = run(BIN/'python', ROOT/'tools'/'bench'/script, '--only', 'better')
    assert result.returncode == 2 and "'better'" in result.stderr and 'Traceback' not in result.stderr


def test_unknown_set_is_refused():
    result = run(BIN/'python', ROOT/'tools'/'bench'/'quality.py', '--on', 'moon')
    assert result.returncode == 2 and 'unknown moon' in result.stderr


@pytest.mark.parametrize('blur_frame', [quality.whole_frame_blurred, quality.background_blurred, quality.both_layers])
def test_quality_blur_returns_the_frame_where_alpha_is_1(blur_frame):
    frame = some_frame()
    assert cv2.absdiff(blur_frame(frame, np.ones(frame.shape[:2], np.float32)), frame).max() <= 1


def test_ideal_image_has_no_halo(quality_clip):
    frames, (alphas, _, _) = quality_clip['frames'], quality.ROWS['the tutorial'](quality_clip, [])
    clip = {'frames': frames, 'alpha': alphas, 'fg': frames, 'bg': [np.full_like(f, 80) for f in frames]}
    ideal, usual = quality.ideal(clip, 0), quality.whole_frame_blurred(frames[0], alphas[0])
    assert quality.halo(ideal, ideal, alphas[0]) > quality.halo(usual, ideal, alphas[0])


def test_keyed_footage_is_placed_inside_the_frame():
    img = np.zeros((288, 360), np.float32)
    img[100:, 100:260] = 1
    for mirrored in (False, True):
        out = quality_data.place_person(img, 1.78, mirrored, 100)
        assert out.shape == (480, 640) and out[-1].max() > .99     # the body reaches the bottom


def test_pan_and_zoom_gives_frames_of_one_size():
    photo = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    first, last = (quality_data.pan_and_zoom(photo, n, quality_data.VIEWS['china.jpg']) for n in (0, 59))
    assert first.shape == last.shape == (480, 640, 3) and (first != last).any()


def test_extended_colours_keep_the_known_ones():
    img, weight = np.full((40, 40, 3), 50, np.float32), np.zeros((40, 40), np.float32)
    img[:, :20], weight[:, :20] = 200, 1
    out = quality_data.spread(img, weight)
    assert out[20, 5] == pytest.approx(200, abs=1) and out[20, 30] == pytest.approx(200, abs=1)


def test_silhouette_is_one_component_without_holes():
    alpha = np.zeros((60, 60), np.float32)
    alpha[10:60, 10:50] = 1
    alpha[30:34, 30:34], alpha[5:8, 55:58] = 0, 1
    body = quality_data.silhouette(alpha)
    assert body[32, 32] == 1 and body[6, 56] == 0 and body.sum() == 50*40


def test_longer_clip_is_cut_from_the_cache(tmp_path):
    for n in (25, 60): (tmp_path/f'keyed1-7-{n}.npz').touch()
    (tmp_path/'keyed1-77-40.npz').touch()
    assert [quality_data.longer_store(tmp_path, 'keyed1-7', n) for n in (20, 40, 61)] == \
        [tmp_path/'keyed1-7-25.npz', tmp_path/'keyed1-7-60.npz', None]


def test_flicker_ignores_where_the_truth_moves():
    frames, still = [np.full((40, 40, 3), 90, np.uint8)]*2, np.zeros((40, 40), np.float32)
    still[:, 20:] = 1
    moved = np.roll(still, 3, 1)
    assert quality.unrest([still, still], frames, [still, still]) == 0
    assert quality.unrest([still, moved], frames, [still, still]) > 50
    assert quality.unrest([still, moved], frames, [still, moved]) == 0


# -- presenters

def fake_hand():
    "Return a hand made of one box, with the joints of the real one."
    names = [f'{f}-finger-phalanx-{p}' for f in presenters.FINGERS for p in presenters.BEND]
    names += [f'{f}-finger-tip' for f in presenters.FINGERS] + ['thumb-phalanx-proximal', 'thumb-phalanx-distal', 'thumb-tip']
    points = np.array([[x, y, z] for x in (0, .18) for y in (-.04, .04) for z in (-.01, .01)])
    faces = np.array([(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
                      (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)])
    weights = np.zeros((8, len(names)))
    weights[4:, 0] = 1
    return points, faces, weights, {name: np.array([.09, 0, 0]) for name in names}


def fake_model():
    hand, (cloth, faces) = fake_hand(), presenters.sleeve()
    return hand, cloth, np.concatenate([hand[1], faces+8]), 8


def test_fist_bends_the_fingers_only():
    hand = fake_hand()
    open_, fist = presenters.bend_fingers(hand, 0), presenters.bend_fingers(hand, 1)
    assert open_ == pytest.approx(hand[0]) and fist[:4] == pytest.approx(hand[0][:4])
    assert np.abs(fist[4:]-hand[0][4:]).min(0).max() > .03


@pytest.mark.parametrize('name', presenters.SCRIPTS)
def test_gestures_are_fast_smooth_and_leave_at_the_lower_edge(name):
    tips = np.array([[presenters.fingertip(presenters.pose_at(poses, t/25)) for t in range(60)] for poses in presenters.SCRIPTS[name]])
    steps = np.linalg.norm(np.diff(tips, axis=1), axis=2)*480
    assert 12 < steps.max() < 75        # pixels per frame
    assert np.linalg.norm(np.diff(tips, 2, axis=1), axis=2).max()*480 < 35     # no jumps
    assert (tips[..., 1] < 0).any() and (tips[..., 1] > .2).any()


def test_arm_is_rendered_with_motion_blur():
    size, model = (160, 120), fake_model()
    still, fast = ((0, .1, -.1, 90, 1., 0, 0, .2),)*2, ((0, -.2, -.1, 90, 1., 0, 0, .2), (0, .3, -.1, 90, 1., 0, 0, .2))
    def soft(arm): return ((arm[..., 0] > 20) & (arm[..., 0] < 235)).mean()
    a, b = (presenters.blurred_arm(model, poses, True, 4, size, 80) for poses in (still, fast))
    assert a.shape == (120, 160, 3) and a[..., 0].max() == pytest.approx(255) and a[..., 1].max() > 50 and a[..., 2].max() > 50
    assert soft(b) > 2*soft(a)
    hidden = ((0, 0, -2, 90, 1., 0, 0, .2),)*2
    assert not presenters.blurred_arm(model, hidden, True, 4, size, 80).any()


def test_hands_are_mirror_images():
    pose = np.array([0, -.2, 90, 1, 40, 10, .3])
    left, right = (presenters.place_arm(fake_hand(), pose, side, 480, 320)[:8] for side in (True, False))
    assert left[:, 0]-320 == pytest.approx(320-right[:, 0]) and left[:, 1:] == pytest.approx(right[:, 1:])


def test_arms_in_front_of_a_person():
    body = np.zeros((60, 80), np.float32)
    body[20:, 20:60] = 1
    person, nothing = np.full((60, 80, 3), 80, np.uint8), np.zeros((60, 80, 3), np.uint8)
    a, fg = presenters.put_in_front(*presenters.colour_arms(nothing, (1, 2, 3), (4, 5, 6)), person, body)
    assert (a == body).all() and (fg[body > 0] == 80).all()
    arms = nothing.copy()
    arms[30:, 50:70] = 255, 200, 0      # opaque skin of full brightness
    a, fg = presenters.put_in_front(*presenters.colour_arms(arms, (100, 150, 200), (0, 0, 0)), person, body)
    assert (a[30:, 20:70] == 1).all() and (a[:20] == 0).all()
    assert np.abs(fg[30:, 50:70].astype(int)-[100, 150, 200]).max() <= 1
    half = (arms*.5).astype(np.uint8)
    a, fg = presenters.put_in_front(*presenters.colour_arms(half, (100, 150, 200), (0, 0, 0)), person, body)
    assert a[40, 65] == pytest.approx(.5, abs=.01) and a[40, 55] == 1


def test_person_is_cut_where_they_touch_a_side(tmp_path):
    img, alpha = np.full((200, 100, 3), 90, np.uint8), np.zeros((200, 100), np.uint8)
    alpha[20:, 30:70] = 255
    alpha[150:] = 255
    for name, cut in (('a', alpha), ('b', np.where(np.arange(200)[:, None] > 60, 255, alpha).astype(np.uint8))):
        cv2.imwrite(str(tmp_path/f'{name}.jpg'), img)
        cv2.imwrite(str(tmp_path/f'{name}.png'), cut)
    cv2.imwrite(str(tmp_path/'c.jpg'), img)
    found, fg, top = presenters.read_person(tmp_path/'a.jpg')
    assert found.shape == fg.shape[:2] == (150, 100) and top == 20
    assert presenters.read_person(tmp_path/'b.jpg') is presenters.read_person(tmp_path/'c.jpg') is None


def test_swaying_person_moves_with_their_alpha():
    alpha = np.zeros((120, 160), np.float32)
    alpha[30:, 60:100] = 1
    fg = np.full((120, 160, 3), 120, np.uint8)
    moved = list(presenters.swayed(alpha, fg, 12, 0))
    assert all(a.shape == alpha.shape and 0 <= a.min() <= a.max() <= 1.001 for a, _ in moved)
    assert all(f == pytest.approx(np.repeat(a[..., None]*120, 3, 2), abs=.5) for a, f in moved)
    assert np.abs(moved[0][0]-moved[-1][0]).max() > .5


def test_compressed_frames_are_alike_and_noisy():
    rng, frames = np.random.default_rng(0), [np.full((48, 64, 3), 100, np.uint8)]*5
    noisy = [presenters.camera_noise(f, rng) for f in frames]
    out = presenters.compressed(noisy)
    assert len(out) == 5 and all(cv2.absdiff(a, b).mean() < 8 for a, b in zip(out, frames))
    assert 1 < noisy[0].std() < 6


# -- quality beside time

def test_curve_measures_time_and_scores(quality_clip):
    frames = quality_clip['frames']
    truth = quality.ROWS['good'](quality_clip, [])[0]
    rows = curve.measure([{'frames': frames, 'alpha': truth}], {n: quality.LEVELS[n] for n in ('simplest', 'good')}, 300, 2)
    assert [r['name'] for r in rows] == ['simplest', 'good'] and all(r['height'] == 300 and r['ms'] > 0 for r in rows)
    assert rows[1]['mad'] < rows[0]['mad'] and set(rows[0]) == {'height', 'name', 'ms', 'mad', 'iou', 'f', 'dtssd', 'trail'}


# -- charts and tables

def test_bars_are_a_png_640_pixels_wide():
    pytest.importorskip('matplotlib')
    png = bars({'a': .5, 'b': 20, 'c': 300}, line=500, upto='b')
    assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).shape[1] == 640


@pytest.mark.parametrize('name', ['07_speed', 'index'])
def test_tables_show_what_was_measured(name, monkeypatch):
    "Each stored table shows the numbers of the current bench.json."
    monkeypatch.chdir(ROOT/'nbs')
    nb, space = nbformat.read(f'{name}.ipynb', 4), {'measured': MEASURED}
    exec('import json; from pathlib import Path; import numpy as np; from bgblur.speed import *; from IPython.display import Markdown', space)
    cells = [c for c in nb.cells if c.source.startswith('#| echo: false')]
    assert cells
    for c in cells:
        *before, last = c.source.rstrip().split('\nMarkdown(')
        exec('\n'.join(before), space)
        assert eval(f'Markdown({last}', space).data == ''.join(c.outputs[0].data['text/markdown'])
