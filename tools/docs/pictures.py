"""Make the images and the animation in nbs/images from the sample clips, and the chart from nbs/bench.json.

    python tools/docs/pictures.py            make all images
    python tools/docs/pictures.py hero       make only the named ones
"""
import json
import sys
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bgblur.background import Blur, ColourBackground, ImageBackground, Lens
from bgblur.blur import composite, masked_blur
from bgblur.learner import SIDE
from bgblur.pipeline import Blurrer
from bgblur.ui.label import Label
from bgblur.predict import load_segmenter
from bgblur.speed import bars
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader

ROOT = Path(__file__).resolve().parents[2]
SAMPLES, IMAGES = ROOT/'sample_data', ROOT/'nbs'/'images'


@cache
def read_frames(name):
    "Return all frames of a clip in sample_data as BGR arrays."
    with VideoReader(SAMPLES/name) as reader: return [to_bgr(f) for f in reader]


def grey(p):
    "Return probability or alpha `p` as a grey image, BGR uint8."
    return cv2.cvtColor((p*255).round().astype(np.uint8), cv2.COLOR_GRAY2BGR)


def crop(img, y, x, h, w, scale=3):
    "Return a part of `img`, enlarged by `scale`."
    return cv2.resize(img[y:y+h, x:x+w], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def checkerboard(h, w, side=16):
    "Return the squares that image editors show behind transparent pixels, BGR uint8 `(h,w,3)`."
    light = np.add.outer(np.arange(h)//side, np.arange(w)//side) % 2
    return cv2.merge([np.where(light, 255, 200).astype(np.uint8)]*3)


def tutorial(frame):
    "Blur as the tutorial does: run the model at 256x256, enlarge its probability, blur the whole frame."
    segmenter = load_segmenter()
    segmenter.fixed = (256, 256)
    return masked_blur(frame, segmenter(frame), 61*min(frame.shape[:2])/360)


def label(img, text, height=34):
    "Return `img` with `text` centred on a white strip above it."
    (width, above), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, .8, 1)
    strip = np.full((height, img.shape[1], 3), 255, np.uint8)
    at = (img.shape[1] - width)//2, (height + above)//2
    return np.vstack([cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, .8, (40, 40, 40), 1, cv2.LINE_AA), img])


def grid(rows, gap=12):
    "Return the images of `rows`, all of one size, with a white gap between them."
    def pad(img, axis): return cv2.copyMakeBorder(img, gap*(axis == 0), 0, gap*(axis == 1), 0, cv2.BORDER_CONSTANT, value=(255,)*3)
    def join(imgs, axis): return np.concatenate([imgs[0], *(pad(img, axis) for img in imgs[1:])], axis)
    return join([join(row, 1) for row in rows], 0)


def hero(n=32, strength=121, width=1200, gap=12):
    "Return a frame, the usual way to blur it, and bgblur's result side by side, with a detail of each below."
    frames = read_frames('gestures.mp4')[:n+1]
    blurrer = Blurrer(background=Blur(strength))
    *_, result = blurrer.stream((f, i/30) for i, f in enumerate(frames))
    frame = frames[-1]
    usual = masked_blur(frame, blurrer.segmenter(frame), strength*min(frame.shape[:2])/360)
    size = (width - 2*gap)//3, (width - 2*gap)//4
    panels = [cv2.resize(img, size, interpolation=cv2.INTER_AREA) for img in (frame, usual, result)]
    details = [cv2.resize(crop(img, 85, 140, 165, 220), size, interpolation=cv2.INTER_AREA) for img in (frame, usual, result)]
    titles = 'frame', 'the usual way', 'bgblur'
    return np.vstack([grid([[label(p, title) for p, title in zip(panels, titles)]], gap),
                      np.full((gap, width, 3), 255, np.uint8), grid([details], gap)])


def pipeline(n=40, width=240):
    "For 03_pipeline: a frame, its probability, its alpha, the background alone, and the result."
    frames, blurrer = read_frames('gestures.mp4')[:n+1], Blurrer(background=Blur(121))
    *_, out = blurrer.stream((f, i/30) for i, f in enumerate(frames))
    r = blurrer.last
    stages = {'frame': frames[-1], 'probability': grey(r.p), 'alpha': grey(r.alpha),
              'background': cv2.convertScaleAbs(r.layers[1]), 'result': out}
    size = width, width*3//4
    return grid([[label(cv2.resize(img, size, interpolation=cv2.INTER_AREA), title) for title, img in stages.items()]])


def matte():
    "Return three enlarged frames, one per row: the frame, the tutorial's result, bgblur's result."
    blurrer, frames = Blurrer(), [read_frames('testclip.mp4')[n] for n in (0, 130, 240)]
    rough = [tutorial(f) for f in frames]
    return np.vstack([np.hstack([crop(img, 70, 70, 195, 260) for img in (f, r, blurrer(f))]) for f, r in zip(frames, rough)])


def sheet():
    "Return ten frames with the tutorial's result beside bgblur's, two pairs per row."
    frames = read_frames('testclip.mp4')
    streamed = list(Blurrer().stream((f, n/25) for n, f in enumerate(frames)))
    rows = [np.hstack([tutorial(frames[n]), streamed[n]]) for n in (0, 40, 90, 150, 185, 195, 200, 205, 215, 245)]
    return np.vstack([np.hstack(rows[i:i+2]) for i in range(0, len(rows), 2)])


def before_after():
    "Return a frame beside its result."
    frame = read_frames('testclip.mp4')[130]
    return np.hstack([frame, Blurrer()(frame)])


def backgrounds():
    "Return the person in front of a bokeh blur, an image, a colour and a checkerboard."
    frame, segmenter = read_frames('testclip.mp4')[130], load_segmenter()
    rocket = ImageBackground(SAMPLES/'rocket.jpg')
    results = [Blurrer(segmenter, background=b)(frame) for b in (Lens(), rocket, ColourBackground('#3c7a57'))]
    person = Blurrer(segmenter).cutout(frame)
    on_squares = composite(np.ascontiguousarray(person[..., :3]), person[..., 3]/255, checkerboard(*frame.shape[:2]))
    return np.hstack([*results, on_squares])


def transparent():
    "Return the matte, the cutout on a checkerboard, and a green screen."
    frame, blurrer = read_frames('testclip.mp4')[130], Blurrer(background='green')
    person = blurrer.cutout(frame)
    on_squares = composite(np.ascontiguousarray(person[..., :3]), person[..., 3]/255, checkerboard(*frame.shape[:2]))
    return np.hstack([grey(person[..., 3]/255), on_squares, blurrer(frame)])


def predict():
    "Return a frame beside its alpha."
    frame = read_frames('testclip.mp4')[130]
    return np.hstack([frame, grey(Blurrer().alpha(frame))])


def labels(frame, *segmenters, **choices):
    "Return the overlays of `Label` for one or more segmenters, with the raw mask first."
    raw = [Label('', frame, s(frame), largest=False, fill=False) for s in segmenters]
    return np.hstack([l.overlay() for l in [*raw, *(replace(l, **choices) for l in raw if choices)]])


def usual_segmenter():
    "Return the model at the size at which 06_learner trains it."
    segmenter = load_segmenter()
    segmenter.side = SIDE
    return segmenter


def training_image(n):
    "Return the training image with number `n`."
    return cv2.imread(str(SAMPLES/'training'/'images'/f'{n}.jpg'))


def label_cleaned():
    "Return the mask before and after one click on 'largest', for ui/label."
    return labels(training_image(666), usual_segmenter(), largest=True)


def learner():
    "Return the mask before and after `make train`, for 06_learner. Return None if `make train` has not run."
    tuned = ROOT/'output'/'person-tuned.onnx'
    return labels(training_image(671), usual_segmenter(), load_segmenter(tuned)) if tuned.exists() else None


def chart():
    "Return the steps of 07_speed, in frames per second, as a PNG."
    steps = json.loads((ROOT/'nbs'/'bench.json').read_text())['steps']
    fps = {name: float(np.median(runs)) for name, runs in steps.items()}
    floor = fps.pop('floor')
    return bars(fps, floor)


def video(ms=80, quality=45):
    "Return every second frame of the sample clip beside its result, for 04_video, as an animated WebP."
    with VideoReader(SAMPLES/'testclip.mp4') as reader: frames = [(to_bgr(f), f.time) for f in reader.frames()]
    pairs = [(frame, result) for (frame, _), result in zip(frames, Blurrer().stream(frames))]
    imgs = [np.hstack([cv2.resize(img, (320, 240), interpolation=cv2.INTER_AREA) for img in pair]) for pair in pairs[::2]]
    first, *rest = (Image.fromarray(img[..., ::-1]) for img in imgs)
    data = BytesIO()
    first.save(data, 'webp', save_all=True, append_images=rest, duration=ms, loop=0, quality=quality)
    return data.getvalue()


# name: the function that makes the image, its largest width in pixels, its JPEG quality
IMAGE = {'hero': (hero, 1200, 88), 'pipeline': (pipeline, None, 90), 'matte': (matte, 900, 95), 'sheet': (sheet, None, 95),
         'before-after': (before_after, 900, 95), 'backgrounds': (backgrounds, 900, 95),
         'transparent': (transparent, 900, 92), 'predict': (predict, 900, 95),
         'label': (label_cleaned, 900, 95), 'learner': (learner, 900, 95)}
# file: the function that returns its bytes
OTHERS = {'speed.png': chart, 'video.webp': video}

if __name__ == '__main__':
    known = [*IMAGE, *(Path(file).stem for file in OTHERS)]
    names = sys.argv[1:] or known
    if unknown := {*names} - {*known}: sys.exit(f"There is no image {', '.join(sorted(unknown))}. Use {', '.join(known)}.")
    for file, make in OTHERS.items():
        if Path(file).stem in names: (IMAGES/file).write_bytes(make())
    for name, (make, width, quality) in IMAGE.items():
        if name not in names: continue
        if (img := make()) is None: continue
        scale = min(1, width/img.shape[1]) if width else 1
        small = cv2.resize(img, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(IMAGES/f'{name}.jpg'), small, [cv2.IMWRITE_JPEG_QUALITY, quality])
