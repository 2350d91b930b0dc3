"""Measure what each control of the explorer changes, and how fast the explorer answers: python tools/bench/controls.py

Each control moves from one end to the other on 60 frames of 640x360. Most controls get the sample clip. Others get frames
on which they matter: two people side by side, a cut between two scenes, or a single image. This prints a Markdown table and
writes the measurements to nbs/controls.json, from where nbs/05_explore.ipynb takes its table.
"""
import argparse
import json
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from bgblur.explore import Explorer
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader
from bgblur.speed import table

ROOT = Path(__file__).parent.parent.parent
JSON = ROOT/'nbs'/'controls.json'
IMAGE = ROOT/'sample_data'/'rocket.jpg'
CLIP, OTHER = ROOT/'sample_data'/'testclip.mp4', ROOT/'sample_data'/'gestures.mp4'
SIZE = 640, 360


# -- frames on which a control matters

def clip_frames(path, start, n, size=SIZE):
    "Return frames of a clip, cropped to the shape of `size` and resized."
    with VideoReader(path, start=start) as reader: imgs = [to_bgr(f) for f in islice(reader.frames(), n)]
    h, w = imgs[0].shape[:2]
    ch, cw = min(h, round(w*size[1]/size[0])), min(w, round(h*size[0]/size[1]))
    y, x = (h - ch)//2, (w - cw)//2
    return [cv2.resize(img[y:y + ch, x:x + cw], size) for img in imgs]


def two_people(n=60):
    "Return frames with two people: one fills the left two thirds, the other one the right third."
    w, h = SIZE
    left, right = clip_frames(CLIP, 4, n, (2*w//3, h)), clip_frames(OTHER, 0, n, (w - 2*w//3, h))
    return [np.hstack(pair) for pair in zip(left, right)]


def with_cut(n=60):
    "Return frames with a cut between two moments of one clip."
    return clip_frames(CLIP, 0, n//2) + clip_frames(CLIP, 5.2, n - n//2)


def frames_for(name, n=60):
    "Return the frames on which the control `name` is measured."
    if name in ('people', 'person'): return two_people(n)
    if name == 'scene_cut': return with_cut(n)
    return clip_frames(CLIP, 4, n)


#: settings without which a control has no effect or does not exist
NEEDS = {
    'highlight_boost': {'background': 'lens'}, 'colour': {'background': 'colour'}, 'image': {'background': 'image', 'image': str(IMAGE)},
    'path': {'background': 'video', 'path': str(OTHER)}, 'wrap': {'background': 'lens'},
    'threshold': {'matte': 'hard mask'}, 'softness': {'matte': 'hard mask'},
}
#: both ends of controls that are neither sliders nor menus
TEXTS = {'colour': ('green', 'navy'), 'person': ('', '85%,60%'), 'image': (str(IMAGE), str(ROOT/'nbs'/'images'/'hero.jpg')),
         'path': (str(OTHER), str(CLIP))}


def all_controls():
    "Return the names of all controls, of which some exist only for a video or an image."
    settings = Explorer(np.zeros((90, 160, 3), np.uint8))
    return ['background', 'matte', *dict.fromkeys(name for cs in (*settings.controls.values(), settings.general) for name in cs)]


def ends(name, control):
    "Return the two ends of a control."
    if name == 'background': return 'blur', 'none'
    if name in TEXTS: return TEXTS[name]
    if hasattr(control, 'max'): return control.min, control.max
    if hasattr(control, 'options'): return control.options[0], control.options[-1]
    return False, True


def explorer_for(name, n=60):
    "Return an explorer in which the control `name` exists and matters."
    imgs = frames_for(name, n)
    explorer = Explorer(imgs[0] if name == 'crisp_image' else imgs)
    return explorer.set(**NEEDS.get(name, {}), **({} if name == 'crisp_image' else {'frame': len(imgs)*2//3}))


# -- measure

def rendered(explorer):
    "Return all results and alphas, the flicker, and on which frames the model ran."
    found = [explorer.rendering.results[i] for i in range(len(explorer.frames))]
    assert not explorer.error and all(r.error is None for r in found), explorer.error
    return [r.out for r in found], [r.alpha for r in found], explorer.rendering.changes(), explorer.rendering.runs()


def difference(a, b):
    "Return the mean and the maximum of |a-b| over two lists of images."
    apart = [np.abs(x.astype(np.float32) - y) for x, y in zip(a, b)]
    return float(np.mean([x.mean() for x in apart])), float(max(x.max() for x in apart))


def effect(explorer, name):
    "Move a control to both ends. Return what differs between them, as a dict."
    lo, hi = ends(name, explorer.current()[name])
    (img, alpha, flicker, ran), (img2, alpha2, flicker2, ran2) = (rendered(explorer.set(**{name: v})) for v in (lo, hi))
    image, matte = difference(img, img2), difference(alpha, alpha2)
    return dict(name=name, label=explorer.current()[name].description, ends=[lo, hi], image_mean=image[0], image_max=image[1],
                alpha_mean=matte[0], alpha_max=matte[1], flicker=[float(np.mean(flicker)), float(np.mean(flicker2))],
                runs=[sum(ran), sum(ran2)], frames=len(explorer.frames))


def values_between(name, control, n):
    "Return `n` values, from one end of a control to the other."
    lo, hi = ends(name, control)
    if not hasattr(control, 'max'): return [(lo, hi)[i % 2] for i in range(n)]
    return [type(lo)(v) for v in np.linspace(lo, hi, n)]


def answer_ms(explorer, name, n, pause=.1):
    """Move a control `n` times, as a mouse would. Return the milliseconds until the shown frame has been sent to the browser:
    pairs of the time that passed and the time of the processor. They differ where other programs run."""
    rendered(explorer)      # as after a second in the explorer
    explorer.player.has_view, times = True, []
    for v in values_between(name, explorer.current()[name], n):
        start = time.perf_counter(), time.thread_time()
        explorer.set(**{name: v})
        times.append((1000*(time.perf_counter() - start[0]), 1000*(time.thread_time() - start[1])))
        time.sleep(pause)
    explorer.newest.cancel()
    return times


def measure(name, n=21):
    "Return all numbers for one control."
    found = effect(explorer_for(name), name)
    # another machine has the files elsewhere
    found['ends'] = [Path(v).name if name in ('image', 'path') else v for v in found['ends']]
    return found | answers(name, n)


def answers(name, n=21):
    "Return the times of the answers of one control: half of them, and 95 of 100, are faster."
    (p50, cpu50), (p95, cpu95) = np.percentile(answer_ms(explorer_for(name), name, n), [50, 95], axis=0).tolist()
    return dict(p50=p50, p95=p95, cpu50=cpu50, cpu95=cpu95)


def control_table(rows):
    "Return a Markdown table of what `measure` returns."
    def end(v): return Path(v).name or 'none' if isinstance(v, str) else f'{v:.3g}' if isinstance(v, float) else str(v)
    return table(['control', 'ends', 'image', 'alpha', 'flicker', 'model runs', 'p50', 'p95', 'CPU'],
                 [[r['label'], ' / '.join(map(end, r['ends'])), f"{r['image_mean']:.2f} ({r['image_max']:.0f})",
                   f"{r['alpha_mean']:.4f} ({r['alpha_max']:.2f})", ' / '.join(f'{1000*f:.2f}' for f in r['flicker']),
                   ' / '.join(map(str, r['runs'])), f"{r['p50']:.0f} ms", f"{r['p95']:.0f} ms", f"{r['cpu50']:.0f} ms"]
                  for r in rows])


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--moves', type=int, default=21, help='how often each control moves to measure the answer')
    parser.add_argument('--note', default='', help='what else ran on the machine, to be stored with the numbers')
    args = parser.parse_args()
    cv2.setNumThreads(1)        # so that one thread does all of the work of an answer, and its processor time says how much
    rows = []
    for name in all_controls():
        rows.append(measure(name, args.moves))
        print(control_table(rows[-1:]).splitlines()[-1], flush=True)
    JSON.write_text(json.dumps({'note': args.note, 'controls': rows}, indent=1) + '\n')
    print(control_table(rows))
