"""Measure the matte and the blur against ground truth: `make bench-quality`, or

    python tools/bench_quality.py [--frames 40] [--clips FOLDER] [--mattes FOLDER]

Four clips with known alpha come from `quality_data.py`, which fetches its footage once. --clips names a folder of real
clips to measure flicker on besides the sample clip, --mattes one of photographs NAME.jpg with true mattes NAME.png.
Prints a table in Markdown: the ways people do it today, then ours with one part after the other switched on.
"""
import argparse
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import quality_data
from tqdm import tqdm

from bgblur.blur import blur, blur_background, composite, foreground, layers, small_size
from bgblur.matte import SIDE, Matte, refine
from bgblur.metrics import boundary_f, dtssd, flicker, halo, iou, mad, trail
from bgblur.predict import load_segmenter
from bgblur.video import VideoReader, to_bgr

SAMPLE = Path(__file__).parent.parent/'sample_data'/'testclip.mp4'
EVERY = 5      # pictures are judged at every fifth frame, alpha over time at all of them
STRENGTH = 61


def kernel(frame): return STRENGTH*min(frame.shape[:2])/360


# alpha from frame and probability: functions that make a fresh one for each clip

def net_alone(): return lambda frame, p: p


def thresholded(): return lambda frame, p: (p > .1).astype(np.float32)


def refined():
    return lambda frame, p: refine(frame, cv2.resize(p, small_size(*p.shape, SIDE), interpolation=cv2.INTER_AREA))


# picture from frame and alpha

def whole_blurred(frame, alpha): return composite(frame, alpha, blur(frame, kernel(frame)))


def background_alone(frame, alpha):
    return composite(frame, alpha, blur_background(frame, alpha, layers(frame, alpha)[1], STRENGTH))


def both_colours(frame, alpha):
    fg, bg = layers(frame, alpha)
    return composite(foreground(frame, alpha, fg, bg), alpha, blur_background(frame, alpha, bg, STRENGTH))


ROWS = {
    "MediaPipe's usual script": (thresholded, whole_blurred),
    'the tutorial': (net_alone, whole_blurred),
    '+ person kept out of the blur': (net_alone, background_alone),
    '+ colour of the edge': (net_alone, both_colours),
    '+ edge refined': (refined, both_colours),
    '+ blobs dropped': (lambda: Matte(hold=0), both_colours),
    '+ held where still (**bgblur**)': (Matte, both_colours),
}


def ideal(clip, i):
    "Frame `i` as it would be if the person and the wall behind him were known."
    return composite(clip['fg'][i], clip['alpha'][i], blur(clip['bg'][i], kernel(clip['bg'][i])))


def score(clip, make, picture):
    "IoU, MAD, boundary F, dtSSD, trail and halo of one way on one clip."
    matte, truth, some = make(), clip['alpha'], range(0, len(clip['frames']), EVERY)
    alphas = [matte(f, p) for f, p in zip(clip['frames'], clip['p'])]
    stills = [[m(alphas[i], truth[i]) for i in some] for m in (iou, mad, boundary_f)]
    halos = [halo(picture(clip['frames'][i], alphas[i]), ideal(clip, i), truth[i]) for i in some]
    return *np.mean(stills, 1), dtssd(alphas, truth), trail(alphas, truth), np.mean(halos)


def flickers(clip, make):
    matte = make()
    return flicker([matte(f, p) for f, p in zip(clip['frames'], clip['p'])], clip['frames'])


def real_clip(path, seg, n):
    with VideoReader(path) as reader: frames = [to_bgr(f) for f in islice(reader, n)]
    return {'frames': frames, 'p': [seg(f) for f in frames]}


def photographs(folder, seg):
    "One clip of a single frame for each photograph with a matte"
    for path in sorted(Path(folder).glob('*.jpg')):
        matte = cv2.imread(str(path.with_suffix('.png')), cv2.IMREAD_UNCHANGED)
        if matte is None: continue
        frame = cv2.imread(str(path))
        yield frame, seg(frame), (matte if matte.ndim == 2 else matte[..., -1])/np.float32(255)


def table(head, rows):
    print('| way |', ' | '.join(head), '|\n| --- |', ' --- |'*len(head))
    for name, values in rows.items(): print(f'| {name} |', ' | '.join(f'{v:.3f}' if v < 1 else f'{v:.1f}' for v in values), '|')
    print()


def main(args):
    seg = load_segmenter()
    clips = list(tqdm(quality_data.clips(frames=args.frames), total=4, desc='ground truth'))
    for clip in clips: clip['p'] = [seg(f) for f in clip['frames']]
    real = [real_clip(SAMPLE, seg, args.frames)]
    if args.clips: real += [real_clip(p, seg, args.frames) for p in sorted(Path(args.clips).iterdir())]
    result = {}
    for name, (make, picture) in tqdm(ROWS.items(), desc='ways'):
        values = np.mean([score(c, make, picture) for c in clips], 0)
        result[name] = *values, np.mean([flickers(c, make) for c in real])
    table(['IoU', 'MAD', 'boundary F 2 px', 'dtSSD', 'trail', 'halo dB', 'flicker'], result)
    true = {n: [np.mean([halo(f(c['frames'][i], c['alpha'][i]), ideal(c, i), c['alpha'][i]) for c in clips
                         for i in range(0, args.frames, EVERY)])]
            for n, f in [('the tutorial', whole_blurred), ('person kept out', background_alone), ('bgblur', both_colours)]}
    table(['halo dB with the true alpha'], true)
    if args.mattes:
        stills = list(photographs(args.mattes, seg))
        table(['IoU', 'MAD', 'boundary F 2 px'], {
            name: np.mean([[m(make()(f, p), g) for m in (iou, mad, boundary_f)] for f, p, g in stills], 0)
            for name, make in [('net alone', net_alone), ('edge refined', refined), ('bgblur', Matte)]})


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=40, help='frames of each clip')
    parser.add_argument('--clips', metavar='FOLDER', help='real clips, for flicker')
    parser.add_argument('--mattes', metavar='FOLDER', help='photographs with true mattes')
    main(parser.parse_args())
