"""Measure the matte and the blur against ground truth: `make bench-quality`, or

    python tools/bench/quality.py [--frames 40] [--clips FOLDER] [--mattes FOLDER]

Four clips with known alpha come from `quality_data.py`, which downloads its footage once. --clips names a folder of real
clips, to measure flicker on them and on the sample clip. --mattes names a folder of photographs NAME.jpg with true mattes
NAME.png. The script prints Markdown tables: the usual ways first, then bgblur with one part after the other switched on.
It writes stills of the real clips to output/quality: each frame, the tutorial's result, and ours.
"""
import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import quality_data
from tqdm import tqdm

from bgblur.blur import blur, blur_background, composite, estimate_layers, replace_background
from bgblur.core.attention import Attention
from bgblur.core.frame import as_frame, small_size
from bgblur.core.quality import QUALITIES, as_quality
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
    matte, work = Matte(lookahead=ahead), [(at_matte_size(f), p) for f, p in zip(frames, ours)]
    return [enlarge(matte(*work[i], None, work[i+1:i+1+ahead]), f) for i, f in enumerate(frames)]


def with_lookahead(frames, usual, ours):
    "Use `Matte` with two future frames."
    return held(frames, usual, ours, 2)


def with_times(frames):
    "Yield `(frame, seconds)` at 25 frames per second."
    return ((f, i/25) for i, f in enumerate(frames))


def whole_pipeline(quality):
    "Return a way that uses `Blurrer` as the command does, with a `Quality` or the name of one."
    def get_alphas(frames, usual, ours):
        return [c[..., 3]/np.float32(255) for c in Blurrer(quality=quality).stream(with_times(frames), transparent=True)]
    return get_alphas


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


def blurrer_output(quality):
    "Return a way to blur with `Blurrer`, which does not use `alphas`."
    def get_images(frames, alphas, some):
        out = list(Blurrer(quality=quality).stream(with_times(frames)))
        return [out[i] for i in some]
    return get_images


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


ROWS = {
    "MediaPipe's usual script": (thresholded, frame_by_frame(whole_frame_blurred)),
    'the tutorial': (model_alone, frame_by_frame(whole_frame_blurred)),
    '+ larger model input': (larger_input, frame_by_frame(whole_frame_blurred)),
    '+ person kept out of the blur': (larger_input, frame_by_frame(background_blurred)),
    '+ foreground colour at the edge': (larger_input, frame_by_frame(both_layers)),
    '+ edge refined': (refined, frame_by_frame(both_layers)),
    '+ small components and holes': (cleaned, frame_by_frame(both_layers)),
    '+ held where still': (held, frame_by_frame(both_layers)),
    '+ two frames of lookahead': (with_lookahead, frame_by_frame(both_layers)),
}
GOOD = as_quality('good')
# The whole pipeline, with parts of `good` switched off or changed, and its three levels
LEVELS = {
    'good, without the second opinion': replace(GOOD, opinion=None),
    'good, second opinion twice per second': replace(GOOD, opinion=.5, weight=0.),
    'good, one look at 336': replace(GOOD, looks=(336,), mirrored=()),
    'good, one look at 384': replace(GOOD, mirrored=()),
    'good, probability of 120 lines': replace(GOOD, matte=GOOD.matte | {'side': 120}),
    'good, no lookahead': replace(GOOD, matte=GOOD.matte | {'lookahead': 0}),
    '**fast**': as_quality('fast'), '**good**': GOOD, '**best**': as_quality('best'),
}
ROWS |= {name: (whole_pipeline(q), blurrer_output(q)) for name, q in LEVELS.items()}


def ideal(clip, i):
    "Return frame `i` of `clip` blurred with its true foreground, alpha and background."
    return composite(clip['fg'][i], clip['alpha'][i], blur(clip['bg'][i], kernel(clip['bg'][i])))


def score(clip, get_alphas, get_images):
    "Return IoU, MAD, boundary F, dtSSD, trail and halo of one way on one clip."
    truth, some = clip['alpha'], range(0, len(clip['frames']), EVERY)
    alphas = get_alphas(clip['frames'], clip['usual'], clip['ours'])
    stills = [[m(alphas[i], truth[i]) for i in some] for m in (iou, mad, boundary_f)]
    halos = [halo(out, ideal(clip, i), truth[i]) for i, out in zip(some, get_images(clip['frames'], alphas, some))]
    return *np.mean(stills, 1), dtssd(alphas, truth), trail(alphas, truth), np.mean(halos)


def halos_with_true_alpha(clip, get_images):
    "Return the halo at every fifth frame if alpha is the true one, so only the blur counts."
    some = range(0, len(clip['frames']), EVERY)
    return [halo(out, ideal(clip, i), clip['alpha'][i]) for i, out in zip(some, get_images(clip['frames'], clip['alpha'], some))]


def flicker_of(clip, get_alphas):
    "Return the flicker of one way on one clip; no truth is needed."
    return flicker(get_alphas(clip['frames'], clip['usual'], clip['ours']), clip['frames'])


def probabilities(frames):
    "Return the model's probabilities at 256×256, which is usual, and at the frame's aspect ratio."
    seg, usual = load_segmenter(), load_segmenter()
    usual.fixed = (256, 256)
    return {'usual': usual.low_res([as_frame(f) for f in frames]), 'ours': seg.low_res([as_frame(f) for f in frames])}


def real_clip(path, n):
    "Return the first `n` frames of a video file and their probabilities."
    with VideoReader(path) as reader: frames = [to_bgr(f) for f in islice(reader.frames(), n)]
    return {'frames': frames, **probabilities(frames)}


def photographs(folder):
    "Yield a clip of one frame, and its true matte, for each photograph in `folder` that has one."
    for path in sorted(Path(folder).glob('*.jpg')):
        matte = cv2.imread(str(path.with_suffix('.png')), cv2.IMREAD_UNCHANGED)
        if matte is None: continue
        frames = [cv2.imread(str(path))]
        yield {'frames': frames, **probabilities(frames)}, (matte if matte.ndim == 2 else matte[..., -1])/np.float32(255)


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
    alphas, ours = model_alone(**clip), blurrer_output('good')(frames, None, some)
    return np.vstack([np.hstack([frames[i], whole_frame_blurred(frames[i], alphas[i]), out]) for i, out in zip(some, ours)])


def print_table(head, rows):
    "Print a Markdown table; `rows` maps a name to its numbers."
    print('| way |', ' | '.join(head), '|\n| --- |', ' --- |'*len(head))
    for name, values in rows.items(): print(f'| {name} |', ' | '.join(f'{v:.3f}' if v < 1 else f'{v:.1f}' for v in values), '|')
    print()


def measure_rows(clips, real):
    "Return for each way in ROWS its mean scores on `clips`, and its flicker on each of the `real` clips."
    result, flickering = {}, {}
    for name, (get_alphas, get_images) in tqdm(ROWS.items(), desc='ways'):
        values = np.mean([score(c, get_alphas, get_images) for c in clips], 0)
        flickering[name] = [flicker_of(c, get_alphas) for c in real.values()]
        result[name] = *values, flickering[name][0]
    return result, flickering


def mean_true_halos(clips):
    "Return the mean halo with the true alpha: name -> one number in a list."
    ways = {'the tutorial': frame_by_frame(whole_frame_blurred), 'person kept out': frame_by_frame(background_blurred),
            'bgblur': with_layers_of_last_frame}
    return {name: [np.mean([h for c in clips for h in halos_with_true_alpha(c, f)])] for name, f in ways.items()}


def photograph_scores(folder):
    "Return the mean IoU, MAD and boundary F of three ways on photographs."
    stills, ways = list(photographs(folder)), {'model alone': model_alone, '+ larger input': larger_input}
    ways |= {f'**{name}**': whole_pipeline(name) for name in QUALITIES}
    return {name: np.mean([[m(f(**c)[0], truth) for m in (iou, mad, boundary_f)] for c, truth in stills], 0)
            for name, f in ways.items()}


def trusts(frames, quality='good'):
    "Return the trust in the second model on each frame that shows a person."
    blurrer, found = Blurrer(quality=quality), []
    for _ in blurrer.stream(with_times(frames), threads=False): found.append(blurrer.last.trust)
    return [t for t in found if t is not None] or [0.]


def trust_scores(clips):
    "Return the mean trust on each clip, and the share of frames with none and with full trust."
    return {name: [np.mean(t), np.mean(np.equal(t, 0)), np.mean(np.equal(t, 1))]
            for name, t in ((name, trusts(c['frames'])) for name, c in clips.items())}


def main(args):
    "Print all tables and write the stills."
    clips = list(tqdm(quality_data.clips(frames=args.frames), total=4, desc='ground truth'))
    for clip in clips: clip.update(probabilities(clip['frames']))
    real = {'sample': real_clip(SAMPLE, args.frames)}
    if args.clips: real |= {p.stem: real_clip(p, args.frames) for p in sorted(Path(args.clips).iterdir())}
    result, flickering = measure_rows(clips, real)
    print_table(['IoU', 'MAD', 'boundary F 2 px', 'dtSSD', 'trail', 'halo dB', 'flicker'], result)
    print_table(['halo dB with the true alpha'], mean_true_halos(clips))
    print_table(['IoU', 'MAD', 'boundary F 2 px'], wide_scores(clips))
    SHEETS.mkdir(parents=True, exist_ok=True)
    for name, clip in real.items(): (SHEETS/f'{name}.jpg').write_bytes(encode_image(sheet(clip), '.jpg'))
    print(f'Stills at full size (frame, the tutorial, bgblur): {SHEETS}/*.jpg\n')
    print_table(['trust', 'share 0', 'share 1'], trust_scores({c['name']: c for c in clips} | real))
    if args.clips: print_table([f'flicker: {name}' for name in real], flickering)
    if args.mattes: print_table(['IoU', 'MAD', 'boundary F 2 px'], photograph_scores(args.mattes))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=40, help='Frames of each clip. [default: 40]')
    parser.add_argument('--clips', metavar='FOLDER', help='Also measure flicker on the clips in FOLDER.')
    parser.add_argument('--mattes', metavar='FOLDER', help='Also measure photographs with true mattes.')
    main(parser.parse_args())
