"""Make the pictures in nbs/images from the sample clip, and the chart from nbs/bench.json: python tools/pictures.py"""
import json
from pathlib import Path

import cv2
import numpy as np

from bgblur.blur import ColourBackground, ImageBackground, composite, lens_blur, masked_blur
from bgblur.pipeline import Blurrer
from bgblur.predict import load_segmenter
from bgblur.speed import bars
from bgblur.video import VideoReader, encode_image, to_bgr

ROOT = Path(__file__).parent.parent


def grey(p): return cv2.cvtColor((p*255).round().astype(np.uint8), cv2.COLOR_GRAY2BGR)


def tutorial(frame):
    "The tutorial's way: the net at 256x256 enlarged, the whole frame blurred."
    net = load_segmenter()
    net.fixed = (256, 256)
    return masked_blur(frame, net(frame), 61*min(frame.shape[:2])/360)


def sheet(pairs):
    "Two pairs of pictures in each row"
    rows = [np.hstack(pair) for pair in pairs]
    return np.vstack([np.hstack(rows[i:i+2]) for i in range(0, len(rows), 2)])


def zoom(img, y=70, x=70, h=195, w=260):
    return cv2.resize(img[y:y+h, x:x+w], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)


def squares(h, w, side=16):
    "What people know as transparent"
    light = np.add.outer(np.arange(h)//side, np.arange(w)//side) % 2
    return cv2.merge([np.where(light, 255, 200).astype(np.uint8)]*3)


def backgrounds(frame, segmenter):
    "The man with a lens's blur, a picture, a colour, and nothing behind him."
    rocket = ImageBackground(ROOT/'sample_data'/'rocket.jpg')
    some = [Blurrer(segmenter, background=b)(frame) for b in (lens_blur, rocket, ColourBackground('#3c7a57'))]
    person = Blurrer(segmenter).cutout(frame)
    return np.hstack([*some, composite(np.ascontiguousarray(person[..., :3]), person[..., 3]/255, squares(*frame.shape[:2]))])


def chart():
    "The steps of 07_speed, in frames per second"
    steps = json.loads((ROOT/'nbs'/'bench.json').read_text())['steps']
    fps = {name: float(np.median(runs)) for name, runs in steps.items()}
    floor = fps.pop('floor')
    return bars(fps, floor)


if __name__ == '__main__':
    (ROOT/'nbs'/'images'/'speed.png').write_bytes(chart())
    with VideoReader(ROOT/'sample_data'/'testclip.mp4') as reader: frames = [to_bgr(f) for f in reader]
    blurrer = Blurrer()
    streamed = list(blurrer.stream((f, n/25) for n, f in enumerate(frames)))
    some = [frames[n] for n in (0, 130, 240)]
    rough = [tutorial(f) for f in some]
    pictures = {
        'matte': np.vstack([np.hstack([zoom(img) for img in (f, r, blurrer(f))]) for f, r in zip(some, rough)]),
        'sheet': sheet([(tutorial(frames[n]), streamed[n]) for n in (0, 40, 90, 150, 185, 195, 200, 205, 215, 245)]),
        'before-after': np.hstack([frames[130], blurrer(frames[130])]),
        'backgrounds': backgrounds(frames[130], blurrer.segmenter),
        'predict': np.hstack([frames[130], grey(blurrer.alpha(frames[130]))]),
        'video': np.vstack([np.hstack(some), np.hstack([blurrer(f) for f in some])]),
    }
    for name, img in pictures.items():
        scale = 1 if name == 'sheet' else min(1, 900/img.shape[1])
        small = cv2.resize(img, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        (ROOT/'nbs'/'images'/f'{name}.jpg').write_bytes(encode_image(small, '.jpg'))
