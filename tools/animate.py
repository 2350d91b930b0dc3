"""Make nbs/images/video.webp, which shows the sample clip beside its blurred version: python tools/animate.py"""
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader
from bgblur.pipeline import Blurrer

ROOT = Path(__file__).parent.parent


def animation(imgs, ms, quality=45):
    "Return BGR images as the bytes of an animated WebP that shows each for `ms` milliseconds."
    first, *rest = (Image.fromarray(img[..., ::-1]) for img in imgs)
    data = BytesIO()
    first.save(data, 'webp', save_all=True, append_images=rest, duration=ms, loop=0, quality=quality)
    return data.getvalue()


if __name__ == '__main__':
    with VideoReader(ROOT/'sample_data'/'testclip.mp4') as reader: frames = [(to_bgr(f), f.time) for f in reader.frames()]
    pairs = [(frame, result) for (frame, _), result in zip(frames, Blurrer().stream(frames))]
    imgs = [np.hstack([cv2.resize(img, (320, 240), interpolation=cv2.INTER_AREA) for img in pair]) for pair in pairs[::2]]
    (ROOT/'nbs'/'images'/'video.webp').write_bytes(animation(imgs, 80))
