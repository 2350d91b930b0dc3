"One person is chosen: they stay sharp, everybody else is blurred. People cross, leave, come back, and the scene is cut."
import json
import shutil
import sys

import cv2
import numpy as np
import pytest
from conftest import CLIP, ROOT, bgblur, one_sentence, write_clip

from bgblur import Blurrer, Matte, as_quality
from bgblur.core.frame import as_frame
from bgblur.core.person import PersonTracker
from bgblur.core.presets import load_preset
from bgblur.core.settings import Settings
from bgblur.video import blurrer_from

N = 40                            # frames of the clip with two people
HE, SHE = '15%,70%', '85%,70%'    # where they stand in the first frame


def read(path, first=0, n=10**9):
    reader, imgs = cv2.VideoCapture(str(path)), []
    while len(imgs) < first + n and (img := reader.read()[1]) is not None: imgs.append(img)
    return imgs[first:]


def cut_out(path, first, box):
    "Return a part of the frames of a clip, without their background."
    x, y, w, h = box
    sprites = Blurrer().stream([(f, i/25) for i, f in enumerate(read(path, first, N))], True)
    return [s[y:y+h, x:x+w] for s in sprites]


def place(img, sprite, x, height):
    "Put a person on the lower border of `img`. Return where they cover it."
    k = height/sprite.shape[0]
    move = np.float32([[k, 0, x - k*sprite.shape[1]/2], [0, k, img.shape[0] - height]])
    s = cv2.warpAffine(sprite, move, img.shape[1::-1], flags=cv2.INTER_AREA)
    a = s[..., 3:]/255
    img[:] = np.rint(img*(1 - a) + s[..., :3]*a)
    return s[..., 3] > 127


@pytest.fixture(scope='module')
def crossing(tmp_path_factory):
    "Return a clip in which he goes right behind her, who goes left, and the visible masks of both."
    he, she = cut_out(CLIP, 0, (60, 70, 320, 230)), cut_out(ROOT/'sample_data'/'gestures.mp4', 61, (160, 80, 340, 400))
    room = cv2.GaussianBlur(cv2.resize(cv2.imread(str(ROOT/'sample_data'/'rocket.jpg')), (640, 360)), (0, 0), 12)
    room, imgs, masks = cv2.convertScaleAbs(room, alpha=1.2, beta=90), [], []
    for i, t in enumerate(np.linspace(.15, .85, N)):
        img = room.copy()
        a, b = place(img, he[i], 640*t, 230), place(img, she[i], 640*(1 - t), 270)
        imgs.append(img)
        masks.append((a & ~b, b))
    return write_clip(tmp_path_factory.mktemp('crossing')/'two.mp4', imgs), *zip(*masks)


def sharp(masks, alphas):
    "Return the share of frames in which most of a person is sharp. Frames that show less than a quarter of them don't count."
    least = max(m.sum() for m in masks)/4
    return np.mean([(alpha > 127)[m].mean() > .5 for m, alpha in zip(masks, alphas, strict=True) if m.sum() > least])


def alphas_of(clip, *options):
    matte = clip.with_name('matte.mkv')
    result = bgblur('video', clip, '-o', 'none', '--matte', matte, '--overwrite', *options)
    assert result.returncode == 0, result.stderr
    return [f[..., 0] for f in read(matte)]


@pytest.mark.parametrize('chosen', [HE, SHE], ids=['behind', 'in front'])
def test_two_people_cross(crossing, chosen):
    clip, he, she = crossing
    alphas = alphas_of(clip, '--person', chosen)
    mine, others = (he, she) if chosen == HE else (she, he)
    assert sharp(mine, alphas) >= .95 and sharp(others, alphas) <= .05


def test_all_are_blurred_before_the_time(crossing):
    clip, he, she = crossing
    alphas = alphas_of(clip, '--person', '67%,70%@0.4', '--start', '0.2')
    # 0.4 s of the file is frame 5 of the part that starts at 0.2 s; the matte holds and looks ahead by a few frames
    assert len(alphas) == N - 5 and alphas[0].max() < 127
    assert sharp(she[10:], alphas[5:]) == 1 and sharp(he[10:], alphas[5:]) <= .05


def test_a_point_without_a_person(crossing, tmp_path):
    "Nothing is written, also if this only shows in the middle of the clip."
    shutil.copy(crossing[0], tmp_path/'two.mp4')
    for person, words in (('50%,5%', 'no person is at 50%,5%.'), ('9000,1@0.5', 'no person is at 9000,1 at 0.5 s'),
                          ('1,1@9', 'ends before 9 s'), ('me', "got 'me'")):
        one_sentence(bgblur('video', 'two.mp4', '-q', '--person', person, cwd=tmp_path), words)
    one_sentence(bgblur('video', 'two.mp4', '-q', '--person', f'{HE}@0.2', '--start', '1', cwd=tmp_path), 'starts at 1 s')
    cv2.imwrite(str(tmp_path/'two.png'), read(crossing[0], n=1)[0])
    one_sentence(bgblur('image', 'two.png', '--person', '50%,5%', cwd=tmp_path), 'no person is at 50%,5%.')
    one_sentence(bgblur('image', 'two.png', '--person', f'{HE}@1', cwd=tmp_path), 'no times')
    assert sorted(f.name for f in tmp_path.iterdir()) == ['two.mp4', 'two.png']


def test_image_preset_and_batch(crossing, tmp_path):
    clip, he, she = crossing
    cv2.imwrite(str(tmp_path/'two.png'), read(clip, n=1)[0])
    line = ['--person', HE, '--quality', 'fast', '--save-preset', 'he.toml']
    assert bgblur('image', 'two.png', '-o', 'none', '--matte', 'he.png', *line, cwd=tmp_path).returncode == 0
    alpha = cv2.imread(str(tmp_path/'he.png'), 0)
    assert sharp(he[:1], [alpha]) == 1 and sharp(she[:1], [alpha]) == 0
    settings = load_preset(tmp_path/'he.toml')[0]
    assert settings == Settings(person=HE, quality='fast') and blurrer_from(settings).person == HE
    assert f"--person '{HE}'" in settings.to_command() or f'--person {HE}' in settings.to_command()
    shutil.copy(clip, tmp_path/'two.mp4')
    result = bgblur('batch', 'two.mp4', '--to', 'out', '--preset-file', 'he.toml', '--split', '5', '--report', 'report.json', '-q', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'the chosen person must be followed from the beginning' in json.dumps(json.loads((tmp_path/'report.json').read_text()))


def test_without_a_person_nothing_changes(monkeypatch, frames):
    "The tracker is not even made, and the attention keeps its own share of small people."
    def fail(*_): raise AssertionError('a tracker was made')
    monkeypatch.setattr(sys.modules['bgblur.pipeline'], 'PersonTracker', fail)
    for settings in (Settings(), Settings(people='main')):
        b = blurrer_from(settings)
        assert b.person is None and b.tracker is None and 'person=' not in repr(b)
        assert b.attention.share == {'all': .1, 'main': 1}[settings.people]
        b(frames[0], 0)
        assert b.last.person is None and b.n_with_person == 1


# -- toys: people are coloured blocks, and the model knows them exactly

RED, BLUE, GREEN = (40, 40, 200), (200, 60, 40), (40, 180, 60)
ROOM = np.random.default_rng(0).integers(90, 110, (180, 320, 3), np.uint8)


def scene(*people, room=ROOM):
    "Return a frame with people: colour and x of the left side. Each is 60 pixels wide, and reaches down to the border."
    img = room.copy()
    for colour, x in people:
        left, right = max(0, x), max(0, x + 60)
        pattern = np.random.default_rng(sum(colour)).integers(-15, 15, (120, 60, 1))
        img[60:, left:right] = np.clip(colour + pattern[:, left - x:right - x][:, :max(0, 320 - left)], 0, 255)
    return img


def model(frame):
    "Return 1 where a colour is strong, as only people have."
    return ((frame.max(2).astype(int) - frame.min(2)) > 70).astype(np.float32)


def blurrer(person='20%,70%', **kwargs): return Blurrer(model, Matte(**as_quality('fast').matte), crop=False, skip=0, person=person, **kwargs)


def colours(b, img, time):
    "Return which people are sharp in a frame."
    b(img, time)
    kept = cv2.resize(b.last.p, img.shape[1::-1]) > .5
    return {name for name, c in (('red', RED), ('blue', BLUE), ('green', GREEN)) if (kept & (np.abs(img - np.float32(c)).max(2) < 20)).sum() > 200}


def states(b, scenes): return [(colours(b, img, i/25), b.last.person) for i, img in enumerate(scenes)]


def test_stranger_comes_while_the_person_is_away():
    b = blurrer()
    leave, away = [scene((RED, x)) for x in range(40, -70, -12)], [scene()]*3
    stranger, back = [scene((BLUE, x)) for x in range(-60, 120, 12)], [scene((BLUE, 120), (RED, x)) for x in range(300, 200, -12)]
    found = states(b, leave + away + stranger + back)
    a, s = len(leave) + len(away), len(stranger)
    assert found[0] == ({'red'}, 'followed') and found[a - 1] == (set(), 'lost')
    assert found[a:a + s] == [(set(), 'lost')]*s
    assert found[-1] == ({'red'}, 'followed') and not any('blue' in sharp for sharp, _ in found)
    b.reset()
    assert states(b, [scene((BLUE, 40), (RED, 200))]*2) == [({'blue'}, 'followed')]*2    # a new clip, a new choice


def test_scene_cut():
    "After a cut, the person is found by colour at another place. A stranger at the old place stays blurred."
    other = 255 - ROOM//2
    b = blurrer()
    found = states(b, [scene((RED, 40))]*3 + [scene((BLUE, 40), room=other)]*3 + [scene((BLUE, 40), (RED, 220))]*3)
    assert found == [({'red'}, 'followed')]*3 + [(set(), 'lost')]*3 + [({'red'}, 'followed')]*3


def test_cut_between_rooms_of_equal_brightness():
    "The mean change is small, and the stranger sits where the person sat. All are blurred."
    room, other = ((np.random.default_rng(i).integers(0, 2, (9, 16, 1))*40 + 80).astype(np.uint8).repeat(3, 2) for i in (1, 2))
    room, other = (cv2.resize(r, (320, 180), interpolation=cv2.INTER_NEAREST) for r in (room, other))
    before, after = scene((RED, 40), room=room), scene((BLUE, 40), room=other)
    assert cv2.absdiff(before, after).mean() < PersonTracker.cut
    assert states(blurrer(), [before]*3 + [after]*3) == [({'red'}, 'followed')]*3 + [(set(), 'lost')]*3


def test_wait_and_choose_again():
    b = blurrer()
    assert states(b, [scene(), scene((BLUE, 200))]) == [(set(), 'waiting')]*2
    assert colours(b, scene((RED, 40), (BLUE, 200)), 1) == {'red'}
    b.person = .7, .7
    assert b.person == '70%,70%' and colours(b, scene((RED, 40), (BLUE, 200)), 1.1) == {'blue'}
    b.person = None
    assert colours(b, scene((RED, 40), (BLUE, 200)), 1.2) == {'red', 'blue'} and b.last.person is None
    with pytest.raises(Exception, match='person must'): b.person = 'me'


def test_frames_of_another_size_and_pauses():
    b = blurrer()
    assert colours(b, scene((RED, 40), (BLUE, 200)), 0) == {'red'}
    assert colours(b, scene((RED, 200), (BLUE, 40))[:, :280].copy(), .1) == {'red'}
    assert colours(b, scene((RED, 90), (BLUE, 250)), 20) == {'red'}
    assert colours(b, scene((RED, 220), (BLUE, 30)), 3) == {'red'}


def test_failing_model_hides_the_frame():
    def fails(frame): raise RuntimeError('out of memory')
    b = Blurrer(fails, person='50%,50%')
    b(ROOM)
    assert b.last.alpha.max() == 0 and b.n_failed == 1 and b.last.person == 'waiting'


def test_same_probability_gives_the_same_object():
    "The matte recognises by identity that the model was skipped."
    tracker, img = PersonTracker('20%,70%'), as_frame(scene((RED, 40), (BLUE, 200)))
    p = model(img.bgr())
    assert tracker(img, p, 0) is tracker(img, p, .04)
    alone = model(scene((RED, 40)))
    assert PersonTracker('20%,70%')(as_frame(scene((RED, 40))), alone, 0) is alone
