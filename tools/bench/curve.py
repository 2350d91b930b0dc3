"""Measure quality beside time, for several recipes and heights of the frame:

    python tools/bench/curve.py [--heights 360,480,720,1080] [--only NAME,...] [--frames 20] [--json FILE]

The clips are one of `quality_data.py` and two of `presenters.py`, composited at each height. The person was filmed on 288
lines and the photographs have at most 640, so both are enlarged: above 480 lines, frames have more pixels but no finer edges. The
arms are rendered on up to 720 lines.

Time is that of one core: CPU milliseconds per frame from BGR to a blurred BGR frame, with one thread for the models, OpenCV
and `Blurrer`. All recipes blur the same frames in alternating order, and the median of the rounds counts. FILE is a list of
dicts, one per height, recipe and set of clips: height, name, set ('talking' or 'presenters'), ms, mad, f, dtssd, iou, trail.
F counts outlines that agree within 2 pixels of a frame with 480 lines.
"""
import argparse
import json
import time
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import presenters
import quality_data
from quality import EVERY, LEVELS, enlarge, names, print_table, with_times
from tqdm import tqdm

from bgblur.core.errors import BgblurError
from bgblur.core.metrics import boundary_f, dtssd, iou, mad, trail
from bgblur.pipeline import Blurrer
from bgblur.predict import load_segmenter

HEIGHTS = '360,480,720,1080'
RECIPES = 'simplest,fast,good: one look at 336,good: without the second opinion,good,best'


def clips_at(height, frames):
    "Return set -> clips at a height, 4:3."
    size = height*4//3//2*2, height
    return {'talking': list(quality_data.clips(n=1, frames=frames, size=size)),
            'presenters': list(presenters.keyed_presenters(n=2, frames=frames, size=size))}


def blur_clip(frames, quality):
    "Return CPU milliseconds per frame, and alphas, of one recipe."
    blurrer, alphas = Blurrer(load_segmenter(threads=1), quality=quality), []
    blurrer.alpha(frames[0])        # the first run of a model takes longer
    blurrer.reset()
    start = time.process_time()
    for _ in blurrer.stream(with_times(frames), threads=False): alphas.append(blurrer.last.alpha.copy())
    return 1e3*(time.process_time()-start)/len(frames), [enlarge(a, frames[0]) for a in alphas]


def scores(clip, alphas, height):
    "Return the scores of one clip."
    truth, some = clip['alpha'], range(0, len(alphas), EVERY)
    found = {'mad': lambda i: mad(alphas[i], truth[i]), 'iou': lambda i: iou(alphas[i], truth[i]),
             'f': lambda i: boundary_f(alphas[i], truth[i], 2*height/480)}
    return {k: float(np.mean([f(i) for i in some])) for k, f in found.items()} | \
        {'dtssd': dtssd(alphas, truth), 'trail': trail(alphas, truth)}


def measure(clips, recipes, height, rounds):
    "Return a dict of time and scores for each recipe."
    ms, found = {name: [] for name in recipes}, {name: [] for name in recipes}
    for k in range(rounds):
        for name in list(recipes)[::1 if k % 2 == 0 else -1]:
            times = []
            for clip in clips:
                t, alphas = blur_clip(clip['frames'], recipes[name])
                times.append(t)
                if k == 0: found[name].append(scores(clip, alphas, height))
            ms[name].append(np.mean(times))
    return [{'height': height, 'name': name, 'ms': round(float(np.median(ms[name])), 2),
             **{k: round(float(np.mean([s[k] for s in v])), 4) for k in v[0]}} for name, v in found.items()]


def chosen(patterns):
    "Return the recipes whose name matches. Raises `BgblurError` if a pattern matches none."
    for p in patterns:
        if not any(fnmatch(name, p) for name in LEVELS):
            raise BgblurError(f'unknown recipe {p!r}. The recipes are: {"; ".join(LEVELS)}.')
    return {name: q for name, q in LEVELS.items() if any(fnmatch(name, p) for p in patterns)}


def main(args):
    "Measure, print a table per height, and write the numbers."
    cv2.setNumThreads(1)
    recipes, rows = chosen(args.only), []
    for height in args.heights:
        for kind, clips in tqdm(clips_at(height, args.frames).items(), desc=f'{height} lines', leave=False):
            some = [row | {'set': kind} for row in measure(clips, recipes, height, args.rounds)]
            rows += some
            print(f'{height} lines, {kind}\n')
            keys = ('ms', 'iou', 'mad', 'f', 'dtssd', 'trail')
            print_table(keys, {r['name']: [r[k] for k in keys] for r in some})
        if args.json: args.json.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--heights', type=lambda text: [int(h) for h in names(text)], default=HEIGHTS,
                        help='Heights of the frame. [default: %(default)s]')
    parser.add_argument('--only', type=names, default=RECIPES, metavar='NAME,...',
                        help='Recipes; * stands for any text. [default: %(default)s]')
    parser.add_argument('--frames', type=int, default=20, help='Frames of each clip. [default: 20]')
    parser.add_argument('--rounds', type=int, default=2, help='How often each recipe blurs each clip. [default: 2]')
    parser.add_argument('--json', type=Path, metavar='FILE', help='Write the numbers to FILE.')
    try: main(parser.parse_args())
    except BgblurError as e: parser.error(str(e))
