"""Measure the matte and the blur against ground truth: `make bench-quality`, or

    python tools/bench_quality.py [--frames 40] [--clips FOLDER] [--mattes FOLDER]

Four clips with known alpha come from `quality_data.py`, which fetches its footage once. --clips names a folder of real
clips to measure flicker on besides the sample clip, --mattes one of photographs NAME.jpg with true mattes NAME.png.
Prints tables in Markdown: the ways people do it today, then ours with one part after the other switched on; and writes
stills of the real clips, the tutorial's beside ours, to output/quality.
"""
import argparse
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import quality_data
from tqdm import tqdm

from bgblur.blur import blur, blur_background, composite, estimate_layers, replace_background
from bgblur.matte import Matte, Zoom, remove_small_components, fill_holes, resize_prob, refine, small_size
from bgblur.core.metrics import boundary_f, dtssd, flicker, halo, iou, mad, trail
from bgblur.pipeline import Blurrer, matte_size
from bgblur.predict import load_segmenter, resize_area
from bgblur.video import VideoReader, encode_image, to_bgr

SAMPLE = Path(__file__).parent.parent/'sample_data'/'testclip.mp4'
SHEETS = Path('output/quality')
EVERY = 5      # pictures are judged at every fifth frame, alpha over time at all of them
STRENGTH = 61


def kernel(frame): return STRENGTH*min(frame.shape[:2])/360


def work(frame): return resize_area(frame, matte_size(*frame.shape[:2]))


def enlarged(alpha, frame): return cv2.resize(alpha, frame.shape[1::-1])


def small(p, frame): return resize_prob(p, small_size(*frame.shape[:2]))


# a clip's alphas from its frames, and the probabilities of the net: as it is usually asked, and as we ask it

def net_alone(frames, usual, ours): return [enlarged(p, f) for f, p in zip(frames, usual)]


def thresholded(frames, usual, ours): return [(a > .1).astype(np.float32) for a in net_alone(frames, usual, ours)]


def larger(frames, usual, ours): return net_alone(frames, ours, ours)


def refined(frames, usual, ours, before=lambda p: p):
    return [enlarged(refine(work(f), before(small(p, f))), f) for f, p in zip(frames, ours)]


def cleaned(frames, usual, ours): return refined(frames, usual, ours, lambda p: remove_small_components(fill_holes(p)))


def steady(frames, usual, ours, ahead=0):
    matte, seen = Matte(ahead=ahead), [(work(f), p) for f, p in zip(frames, ours)]
    return [enlarged(matte(*seen[i], None, seen[i+1:i+1+ahead]), f) for i, f in enumerate(frames)]


def with_future(frames, usual, ours): return steady(frames, usual, ours, 2)


def timed(frames): return ((f, i/25) for i, f in enumerate(frames))


def finished(frames, usual, ours):
    "As the command does it: zoomed in, and the net asked only where the picture changed."
    return [c[..., 3]/np.float32(255) for c in Blurrer().stream(timed(frames), transparent=True)]


# pictures from frames and alphas, at some of the frames

def each(picture): return lambda frames, alphas, some: [picture(frames[i], alphas[i]) for i in some]


def carried_on(frames, alphas, some):
    "Both colours, beginning with those of the frame before."
    colours, outs = None, []
    for frame, alpha in zip(frames, alphas):
        colours = estimate_layers(frame, alpha, colours)
        outs.append(replace_background(frame, alpha, *colours, blur_background(frame, alpha, colours[1], STRENGTH)))
    return [outs[i] for i in some]


def as_a_clip(frames, alphas, some):
    out = list(Blurrer().stream(timed(frames)))
    return [out[i] for i in some]


def whole_blurred(frame, alpha): return composite(frame, alpha, blur(frame, kernel(frame)))


def background_alone(frame, alpha):
    return composite(frame, alpha, blur_background(frame, alpha, estimate_layers(frame, alpha)[1], STRENGTH))


def both_colours(frame, alpha):
    fg, bg = estimate_layers(frame, alpha)
    return replace_background(frame, alpha, fg, bg, blur_background(frame, alpha, bg, STRENGTH))


ROWS = {
    "MediaPipe's usual script": (thresholded, each(whole_blurred)),
    'the tutorial': (net_alone, each(whole_blurred)),
    '+ the net sees more': (larger, each(whole_blurred)),
    '+ person kept out of the blur': (larger, each(background_alone)),
    '+ colour of the edge': (larger, each(both_colours)),
    '+ edge refined': (refined, each(both_colours)),
    '+ blobs and holes': (cleaned, each(both_colours)),
    '+ held where still': (steady, each(both_colours)),
    '+ two frames ahead': (with_future, each(both_colours)),
    '+ zoomed in, and not asked twice (**bgblur**, files)': (finished, as_a_clip),
}


def ideal(clip, i):
    "Frame `i` as it would be if the person and the wall behind him were known."
    return composite(clip['fg'][i], clip['alpha'][i], blur(clip['bg'][i], kernel(clip['bg'][i])))


def score(clip, make, picture):
    "IoU, MAD, boundary F, dtSSD, trail and halo of one way on one clip."
    truth, some = clip['alpha'], range(0, len(clip['frames']), EVERY)
    alphas = make(clip['frames'], clip['usual'], clip['ours'])
    stills = [[m(alphas[i], truth[i]) for i in some] for m in (iou, mad, boundary_f)]
    halos = [halo(out, ideal(clip, i), truth[i]) for i, out in zip(some, picture(clip['frames'], alphas, some))]
    return *np.mean(stills, 1), dtssd(alphas, truth), trail(alphas, truth), np.mean(halos)


def true_halos(clip, picture):
    some = range(0, len(clip['frames']), EVERY)
    return [halo(out, ideal(clip, i), clip['alpha'][i]) for i, out in zip(some, picture(clip['frames'], clip['alpha'], some))]


def flickers(clip, make): return flicker(make(clip['frames'], clip['usual'], clip['ours']), clip['frames'])


def probabilities(frames):
    "What the net says: asked at 256x256, as is usual, and in the frame's own shape."
    seg, usual = load_segmenter(), load_segmenter()
    usual.fixed = (256, 256)
    return {'usual': [usual.small(f) for f in frames], 'ours': [seg.small(f) for f in frames]}


def real_clip(path, n):
    with VideoReader(path) as reader: frames = [to_bgr(f) for f in islice(reader, n)]
    return {'frames': frames, **probabilities(frames)}


def photographs(folder):
    "One clip of a single frame for each photograph with a matte"
    for path in sorted(Path(folder).glob('*.jpg')):
        matte = cv2.imread(str(path.with_suffix('.png')), cv2.IMREAD_UNCHANGED)
        if matte is None: continue
        frames = [cv2.imread(str(path))]
        yield {'frames': frames, **probabilities(frames)}, (matte if matte.ndim == 2 else matte[..., -1])/np.float32(255)


def wide_scores(clips):
    "IoU, MAD and boundary F of the net alone where the person fills a third of a wide frame: at 256x256, larger, zoomed in."
    ways = {'the net alone, 256×256': [], '+ the net sees more': [], '+ zoomed in on the person': []}
    for clip in clips:
        zoom = Zoom(load_segmenter().small)
        for i in range(0, len(clip['frames']), EVERY):
            frame, truth = quality_data.wide(clip, i)
            p = probabilities([frame])
            for way, q in zip(ways.values(), (p['usual'][0], p['ours'][0], zoom(frame, i/25))):
                q = enlarged(q, frame)
                way.append([m(q, truth) for m in (iou, mad, boundary_f)])
    return {name: np.mean(v, 0) for name, v in ways.items()}


def sheet(clip, some=(.1, .3, .5, .7, .9)):
    "Some frames of a clip at their full size: as they are, the tutorial's way, ours."
    frames, some = clip['frames'], [int(s*len(clip['frames'])) for s in some]
    old, new = net_alone(**clip), as_a_clip(frames, None, some)
    return np.vstack([np.hstack([frames[i], whole_blurred(frames[i], old[i]), out]) for i, out in zip(some, new)])


def table(head, rows):
    print('| way |', ' | '.join(head), '|\n| --- |', ' --- |'*len(head))
    for name, values in rows.items(): print(f'| {name} |', ' | '.join(f'{v:.3f}' if v < 1 else f'{v:.1f}' for v in values), '|')
    print()


def main(args):
    clips = list(tqdm(quality_data.clips(frames=args.frames), total=4, desc='ground truth'))
    for clip in clips: clip.update(probabilities(clip['frames']))
    real = {'sample': real_clip(SAMPLE, args.frames)}
    if args.clips: real |= {p.stem: real_clip(p, args.frames) for p in sorted(Path(args.clips).iterdir())}
    result, flickering = {}, {}
    for name, (make, picture) in tqdm(ROWS.items(), desc='ways'):
        values = np.mean([score(c, make, picture) for c in clips], 0)
        flickering[name] = [flickers(c, make) for c in real.values()]
        result[name] = *values, flickering[name][0]
    table(['IoU', 'MAD', 'boundary F 2 px', 'dtSSD', 'trail', 'halo dB', 'flicker'], result)
    true = {n: [np.mean([h for c in clips for h in true_halos(c, f)])]
            for n, f in [('the tutorial', each(whole_blurred)), ('person kept out', each(background_alone)), ('bgblur', carried_on)]}
    table(['halo dB with the true alpha'], true)
    table(['IoU', 'MAD', 'boundary F 2 px'], wide_scores(clips))
    SHEETS.mkdir(parents=True, exist_ok=True)
    for name, clip in real.items(): (SHEETS/f'{name}.jpg').write_bytes(encode_image(sheet(clip), '.jpg'))
    print(f'Stills beside the tutorial\'s, at full size: {SHEETS}/*.jpg\n')
    if args.clips: table([f'flicker: {name}' for name in real], flickering)
    if args.mattes:
        stills = list(photographs(args.mattes))
        table(['IoU', 'MAD', 'boundary F 2 px'], {
            name: np.mean([[m(make(**c)[0], g) for m in (iou, mad, boundary_f)] for c, g in stills], 0)
            for name, make in [('net alone', net_alone), ('+ sees more', larger), ('bgblur', steady)]})


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=40, help='frames of each clip')
    parser.add_argument('--clips', metavar='FOLDER', help='real clips, for flicker')
    parser.add_argument('--mattes', metavar='FOLDER', help='photographs with true mattes')
    main(parser.parse_args())
