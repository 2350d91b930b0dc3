"""Measure the matte and the blur against ground truth: `make bench-quality`, or

    python tools/bench/quality.py [--frames 40] [--clips FOLDER] [--mattes FOLDER] [--only NAME,...] [--on SET,...]

Ground truth is made once from footage that is downloaded: four clips of a talking person by `quality_data.py`, and four of a
person who gestures by `presenters.py`. --mattes names a folder of photographs NAME.jpg with true mattes NAME.png, which also
become clips of people who gesture. --clips names a folder of real clips, to measure flicker on them and on the sample clip.

The script prints Markdown tables: the usual ways first, then bgblur with one part after the other switched on, then the whole
pipeline with one part switched off, and the three levels. It also writes stills of the real clips to output/quality: each
frame, the tutorial's result, and ours. To measure one recipe in less than a minute, choose rows and sets:

    python tools/bench/quality.py --only 'simplest,good*' --on presenters
"""
import argparse
from dataclasses import MISSING, fields, replace
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import presenters
import quality_data
from tqdm import tqdm

from bgblur.blur import blur, blur_background, composite, estimate_layers, replace_background
from bgblur.core.attention import Attention
from bgblur.core.frame import as_frame, small_size
from bgblur.core.errors import BgblurError
from bgblur.core.quality import QUALITIES, Quality, as_quality
from bgblur.core.masks import fill_holes, remove_small_components, resize_prob
from bgblur.matte import Matte, refine
from bgblur.core.metrics import boundary_f, dtssd, flicker, halo, iou, mad, trail
from bgblur.pipeline import Blurrer, matte_size
from bgblur.core.frame import resize_area
from bgblur.predict import load_segmenter
from bgblur.io.image import encode_image
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader

SAMPLE = Path(__file__).parent.parent.parent/'sample_data'/'testclip.mp4'
SHEETS = Path('output/quality')
EVERY = 5      # single frames are scored at every fifth frame, alpha over time at all of them
STRENGTH = 61


def kernel(frame):
    "Return the blur's kernel size for `frame`, in pixels."
    return STRENGTH*min(frame.shape[:2])/360


def at_matte_size(frame):
    "Return `frame` at the size at which `Blurrer` computes alpha."
    return resize_area(frame, matte_size(*frame.shape[:2]))


def enlarge(alpha, frame):
    "Return `alpha` at the size of `frame`."
    return cv2.resize(alpha, frame.shape[1::-1])


def at_small_size(p, frame):
    "Return probability `p` at the size at which `Matte` works, for the aspect ratio of `frame`."
    return resize_prob(p, small_size(*frame.shape[:2]))


# -- ways to get alpha
# Each function takes a clip's frames and the model's probabilities at the usual size and at ours, and
# returns a list of alphas, float32 (H,W) in [0,1].

def model_alone(frames, usual, ours):
    "Use the model's probability at 256×256 as alpha."
    return [enlarge(p, f) for f, p in zip(frames, usual)]


def thresholded(frames, usual, ours):
    "Threshold the probability at 0.1, as MediaPipe's script does."
    return [(a > .1).astype(np.float32) for a in model_alone(frames, usual, ours)]


def larger_input(frames, usual, ours):
    "Run the model on more pixels, at the frame's aspect ratio."
    return model_alone(frames, ours, ours)


def refined(frames, usual, ours, clean=lambda p: p):
    "Refine the edge by the frame's colours, after `clean` changed the probability."
    return [enlarge(refine(at_matte_size(f), clean(at_small_size(p, f))), f) for f, p in zip(frames, ours)]


def cleaned(frames, usual, ours):
    "Fill small holes and remove small components, then refine."
    return refined(frames, usual, ours, lambda p: remove_small_components(fill_holes(p)))


def held(frames, usual, ours, ahead=0):
    "Use `Matte`, which holds alpha where the frame stands still; `ahead` future frames are averaged."
    matte, work = Matte(lookahead=ahead), [(as_frame(at_matte_size(f)), p) for f, p in zip(frames, ours)]
    return [enlarge(matte(*work[i], None, work[i+1:i+1+ahead]), f) for i, f in enumerate(frames)]


def with_lookahead(frames, usual, ours):
    "Use `Matte` with four future frames."
    return held(frames, usual, ours, 4)


def with_times(frames):
    "Yield `(frame, seconds)` at 25 frames per second."
    return ((f, i/25) for i, f in enumerate(frames))


# -- ways to get images
# Each function takes a clip's frames and alphas and the indices of the wanted frames, and returns images.

def frame_by_frame(blur_frame):
    "Return such a function, made from a function of a single frame and its alpha."
    return lambda frames, alphas, some: [blur_frame(frames[i], alphas[i]) for i in some]


def with_layers_of_last_frame(frames, alphas, some):
    "Blur with layers whose estimate starts from the previous frame."
    layers, outs = None, []
    for frame, alpha in zip(frames, alphas):
        layers = estimate_layers(frame, alpha, layers)
        outs.append(replace_background(frame, alpha, *layers, blur_background(frame, alpha, layers[1], STRENGTH)))
    return [outs[i] for i in some]


def whole_frame_blurred(frame, alpha):
    "Composite `frame` over the whole frame blurred, as the tutorial does."
    return composite(frame, alpha, blur(frame, kernel(frame)))


def background_blurred(frame, alpha):
    "Composite `frame` over the blurred background layer, which has nothing of the person."
    return composite(frame, alpha, blur_background(frame, alpha, estimate_layers(frame, alpha)[1], STRENGTH))


def both_layers(frame, alpha):
    "Composite the foreground layer over the blurred background layer."
    fg, bg = estimate_layers(frame, alpha)
    return replace_background(frame, alpha, fg, bg, blur_background(frame, alpha, bg, STRENGTH))


# -- ways: each takes a clip and the indices of the wanted frames, and returns alphas, images, and trusts where it has them

def usual_way(get_alphas, get_images):
    "Return a way made of one function for alpha and one for images."
    def measure(clip, some):
        if 'ours' not in clip: clip.update(probabilities(clip['frames']))
        alphas = get_alphas(clip['frames'], clip['usual'], clip['ours'])
        return alphas, get_images(clip['frames'], alphas, some), []
    return measure


def whole_pipeline(quality):
    "Return a way that uses `Blurrer` as the command does, with a `Quality` or the name of one."
    def measure(clip, some):
        blurrer, alphas, images, trusts = Blurrer(quality=quality), [], [], []
        # without threads, the last result belongs to the last image
        for i, out in enumerate(blurrer.stream(with_times(clip['frames']), threads=False)):
            alphas.append(enlarge(blurrer.last.alpha, out).copy())
            if i in some: images.append(out)
            if blurrer.last.trust is not None: trusts.append(blurrer.last.trust)
        return alphas, images, trusts
    return measure


STEPS = {
    "MediaPipe's usual script": (thresholded, frame_by_frame(whole_frame_blurred)),
    'the tutorial': (model_alone, frame_by_frame(whole_frame_blurred)),
    '+ larger model input': (larger_input, frame_by_frame(whole_frame_blurred)),
    '+ person kept out of the blur': (larger_input, frame_by_frame(background_blurred)),
    '+ foreground colour at the edge': (larger_input, frame_by_frame(both_layers)),
    '+ edge refined': (refined, frame_by_frame(both_layers)),
    '+ small components and holes': (cleaned, frame_by_frame(both_layers)),
    '+ held where still': (held, frame_by_frame(both_layers)),
    '+ four frames of lookahead': (with_lookahead, frame_by_frame(both_layers)),
}


def default_of(field):
    "Return the default of a dataclass field."
    return field.default if field.default_factory is MISSING else field.default_factory()


def recipes():
    "Return name -> `Quality`: the pipeline before the second model, `good` with each part switched off, and the three levels."
    good, before = as_quality('good'), dict(hold_seconds=.6, lookahead=2, side=120)
    plain = Quality('simplest', looks=(336,), opinion=None, matte_height=480, matte=before)

    def with_matte(**changed): return replace(good, matte=good.matte | changed)
    found = {
        'simplest': plain,
        'good: without the second opinion': replace(good, opinion=None),
        'good: second opinion twice per second': replace(good, opinion=.5, weight=0.),
        'good: second opinion only removes': replace(good, weight=0.),
        'good: one look at 336': replace(good, looks=(336,), mirrored=()),
        'good: not mirrored': replace(good, mirrored=()),
        'good: alpha on fewer than 480 lines': replace(good, matte_height=480),
        'good: alpha on all lines': replace(good, matte_height=10000),
        'good: probability of 120 lines': with_matte(side=120),
        'good: probability of 192 lines': with_matte(side=192),
        'good: not held': with_matte(hold_seconds=0.),
        'good: no lookahead': with_matte(lookahead=0),
    }
    # parts that were added to recipes later: switch each off
    known = {'name', 'looks', 'mirrored', 'opinion', 'opinion_side', 'weight', 'matte_height', 'matte'}
    found |= {f'good: without {f.name}': replace(good, **{f.name: default_of(f)}) for f in fields(Quality) if f.name not in known}
    found |= {f'good: without {name}': replace(good, matte={k: v for k, v in good.matte.items() if k != name})
              for name in good.matte if name not in before}
    return {name: q for name, q in found.items() if q != good} | dict(QUALITIES)


LEVELS = recipes()
ROWS = {name: usual_way(*way) for name, way in STEPS.items()} | {name: whole_pipeline(q) for name, q in LEVELS.items()}


def chosen_rows(patterns):
    "Return the ways whose name matches one of the patterns, or all. Raises `BgblurError` if a pattern matches none."
    if not patterns: return ROWS
    unknown = [p for p in patterns if not any(fnmatch(name, p) for name in ROWS)]
    if unknown: raise BgblurError(f'unknown row {unknown[0]!r}. The rows are: {"; ".join(ROWS)}.')
    return {name: way for name, way in ROWS.items() if any(fnmatch(name, p) for p in patterns)}


# -- scores

def ideal(clip, i):
    "Return frame `i` of `clip` blurred with its true foreground, alpha and background."
    return composite(clip['fg'][i], clip['alpha'][i], blur(clip['bg'][i], kernel(clip['bg'][i])))


def unrest(alphas, frames, truth):
    "Return the flicker where the image and the true alpha are still: with true alpha we know what must not move."
    changes = []
    for i in range(1, len(alphas)):
        a0, a1 = alphas[i-1:i+1]
        grey = [cv2.blur(cv2.cvtColor(f, cv2.COLOR_BGR2GRAY).astype(np.float32), (3, 3)) for f in frames[i-1:i+1]]
        still = (np.abs(grey[1]-grey[0]) < 4) & (np.abs(truth[i]-truth[i-1]) < .01)
        band, near = (a0+a1)/2, np.ones((11, 11), np.uint8)
        changes.append(np.abs(a1-a0)[still & (cv2.dilate(band, near)-cv2.erode(band, near) > .1)])
    changes = np.concatenate(changes or [[]])
    return float(changes.mean()*1e3) if changes.size else 0.


def score(clip, way):
    "Return IoU, MAD, boundary F, dtSSD, trail, halo and flicker of a way on a clip, and the trusts."
    truth, some = clip['alpha'], range(0, len(clip['frames']), EVERY)
    alphas, images, trusts = way(clip, some)
    stills = [[m(alphas[i], truth[i]) for i in some] for m in (iou, mad, boundary_f)]
    halos = [halo(out, ideal(clip, i), truth[i]) for i, out in zip(some, images)]
    return [*np.mean(stills, 1), dtssd(alphas, truth), trail(alphas, truth), np.mean(halos), unrest(alphas, clip['frames'], truth)], trusts


def halos_with_true_alpha(clip, get_images):
    "Return the halo at every fifth frame if alpha is the true one, so only the blur counts."
    some = range(0, len(clip['frames']), EVERY)
    return [halo(out, ideal(clip, i), clip['alpha'][i]) for i, out in zip(some, get_images(clip['frames'], clip['alpha'], some))]


def probabilities(frames):
    "Return the model's probabilities at 256×256, which is usual, and at the frame's aspect ratio."
    seg, usual = load_segmenter(), load_segmenter()
    usual.fixed = (256, 256)
    return {'usual': usual.low_res([as_frame(f) for f in frames]), 'ours': seg.low_res([as_frame(f) for f in frames])}


def real_clip(path, n):
    "Return the first `n` frames of a video file as a clip without truth."
    with VideoReader(path) as reader: return {'frames': [to_bgr(f) for f in islice(reader.frames(), n)]}


def photographs(folder):
    "Yield a clip of one frame, and its true matte, for each photograph in `folder` that has one."
    for path in sorted(Path(folder).glob('*.jpg')):
        matte = cv2.imread(str(path.with_suffix('.png')), cv2.IMREAD_UNCHANGED)
        if matte is None: continue
        yield {'frames': [cv2.imread(str(path))]}, (matte if matte.ndim == 2 else matte[..., -1])/np.float32(255)


def wide_scores(clips):
    "Return IoU, MAD and boundary F of the model alone if the person fills a third of a wide frame, with and without a crop."
    ways = {'the model alone, 256×256': [], '+ larger model input': [], '+ crop around the person': []}
    for clip in clips:
        crop = Attention(load_segmenter(), skip=0)
        for i in range(0, len(clip['frames']), EVERY):
            frame, truth = quality_data.wide(clip, i)
            p = probabilities([frame])
            for way, q in zip(ways.values(), (p['usual'][0], p['ours'][0], crop.probabilities([as_frame(frame)], [i/25])[0])):
                q = enlarge(q, frame)
                way.append([m(q, truth) for m in (iou, mad, boundary_f)])
    return {name: np.mean(v, 0) for name, v in ways.items()}


def sheet(clip, some=(.1, .3, .5, .7, .9)):
    "Return some frames of a clip at full size, one per row: the frame, the tutorial's way, bgblur."
    frames, some = clip['frames'], [int(s*len(clip['frames'])) for s in some]
    usual, ours = (ROWS[name](clip, some)[1] for name in ('the tutorial', 'good'))
    return np.vstack([np.hstack([frames[i], *images]) for i, *images in zip(some, usual, ours)])


def print_table(head, rows):
    "Print a Markdown table; `rows` maps a name to its numbers."
    print('| way |', ' | '.join(head), '|\n| --- |', ' --- |'*len(head))
    for name, values in rows.items():
        name = f'**{name}**' if name in QUALITIES else name
        print(f'| {name} |', ' | '.join(f'{v:.3f}' if abs(v) < 1 else f'{v:.2f}' if abs(v) < 10 else f'{v:.1f}' for v in values), '|')
    print(flush=True)


def mean_scores(clips, rows, title):
    "Return for each way its mean scores on `clips`, and for each clip the trusts of each way. Only one clip is in memory."
    scores, trusts = {name: [] for name in rows}, {}
    for clip in clips:
        for name, way in tqdm(rows.items(), desc=f'{title}: {clip["name"]}', leave=False):
            values, found = score(clip, way)
            scores[name].append(values)
            if found: trusts[f'{clip["name"]}, {name}'] = found
    return {name: np.mean(v, 0) for name, v in scores.items()}, trusts


def mean_true_halos(clips):
    "Return the mean halo with the true alpha: name -> one number in a list."
    ways = {'the tutorial': frame_by_frame(whole_frame_blurred), 'person kept out': frame_by_frame(background_blurred),
            'bgblur': with_layers_of_last_frame}
    found = {name: [] for name in ways}
    for c in clips:
        for name, f in ways.items(): found[name] += halos_with_true_alpha(c, f)
    return {name: [np.mean(v)] for name, v in found.items()}


def photograph_scores(folder, rows):
    "Return the mean IoU, MAD and boundary F of each way on photographs, and the trusts of each way."
    scores, trusts = {name: [] for name in rows}, {}
    for clip, truth in tqdm(list(photographs(folder)), desc='photographs', leave=False):
        for name, way in rows.items():
            alphas, _, found = way(clip, [])
            scores[name].append([m(alphas[0], truth) for m in (iou, mad, boundary_f)])
            trusts.setdefault(f'photographs, {name}', []).extend(found)
    return {name: np.mean(v, 0) for name, v in scores.items()}, {name: t for name, t in trusts.items() if t}


def trust_scores(trusts):
    "Return the mean trust, and the share of frames with none and with full trust, of each list of trusts."
    return {name: [np.mean(t), np.mean(np.equal(t, 0)), np.mean(np.equal(t, 1))] for name, t in trusts.items()}


SCORES = ['IoU', 'MAD', 'boundary F 2 px', 'dtSSD', 'trail', 'halo dB', 'flicker']
SETS = ('talking', 'presenters', 'wide', 'real', 'mattes')


def truth_sets(args):
    "Return title -> function that yields the clips with known alpha."
    sets = {}
    if 'talking' in args.on: sets['talking person'] = lambda: quality_data.clips(frames=args.frames)
    if 'presenters' in args.on: sets['presenters'] = lambda: presenters.keyed_presenters(frames=args.frames)
    if 'mattes' in args.on and args.mattes:
        sets[f'presenters from {Path(args.mattes).name}'] = lambda: presenters.photograph_presenters(args.mattes, frames=args.frames)
    return sets


def measure_real(args, rows):
    "Print the flicker on real clips and write their stills."
    found = {'sample': SAMPLE} | {p.stem: p for p in (sorted(Path(args.clips).iterdir()) if args.clips else [])}
    flickering = {name: [] for name in rows}
    SHEETS.mkdir(parents=True, exist_ok=True)
    for title, path in found.items():
        clip = real_clip(path, args.frames)
        for name, way in tqdm(rows.items(), desc=f'real clips: {title}', leave=False):
            flickering[name].append(flicker(way(clip, [])[0], clip['frames']))
        if rows is ROWS: (SHEETS/f'{title}.jpg').write_bytes(encode_image(sheet(clip), '.jpg'))
    print_table([f'flicker: {name}' for name in found], flickering)
    if rows is ROWS: print(f'Stills at full size (frame, the tutorial, bgblur): {SHEETS}/*.jpg\n')


def main(args):
    "Print all tables and write the stills."
    rows, trusts = chosen_rows(args.only), {}
    for title, clips in truth_sets(args).items():
        print(f'{title[0].upper()}{title[1:]}\n')
        result, found = mean_scores(clips(), rows, title)
        trusts |= found
        print_table(SCORES, result)
    if 'mattes' in args.on and args.mattes:
        print('Photographs\n')
        result, found = photograph_scores(args.mattes, rows)
        trusts |= found
        print_table(SCORES[:3], result)
    if 'real' in args.on: measure_real(args, rows)
    if 'wide' in args.on:
        print_table(['halo dB with the true alpha'], mean_true_halos(quality_data.clips(frames=args.frames)))
        print_table(SCORES[:3], wide_scores(quality_data.clips(frames=args.frames)))
    some = {name: t for name, t in trusts.items() if args.only or name.endswith(', good')}
    if some: print_table(['trust', 'share 0', 'share 1'], trust_scores(some))


def names(text):
    "Return the parts of `text` between commas."
    return [name.strip() for name in text.split(',') if name.strip()]


def sets(text):
    "Return the chosen sets. Raises `ArgumentTypeError` for others."
    unknown = [name for name in names(text) if name not in SETS]
    if unknown: raise argparse.ArgumentTypeError(f'unknown {unknown[0]}; choose from {", ".join(SETS)}')
    return names(text)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=40, help='Frames of each clip. [default: 40]')
    parser.add_argument('--clips', metavar='FOLDER', help='Also measure flicker on the clips in FOLDER.')
    parser.add_argument('--mattes', metavar='FOLDER', help='Also measure photographs with true mattes, and clips made from them.')
    parser.add_argument('--only', metavar='NAME,...', type=names,
                        help='Measure only these rows; * stands for any text. [default: all]')
    parser.add_argument('--on', metavar='SET,...', type=sets, default=SETS,
                        help=f'Measure only on these of {", ".join(SETS)}. [default: all]')
    try: main(parser.parse_args())
    except BgblurError as e: parser.error(str(e))
