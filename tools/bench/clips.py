"""Make the clips for the benchmark: the sample clip at other sizes and lengths, with or without camera noise."""
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from bgblur.speed import copy_frames
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT/'sample_data'/'testclip.mp4'
SECONDS = 10    # length of the sample clip


def add_noise(frame, noise, rng):
    """Return the YUV420 `frame` with noise added to its brightness.

    `noise` is int8, at least 64 pixels larger than the frame on each side; `rng` chooses which part of it is used."""
    planes = frame.to_ndarray()
    y, x = rng.integers(0, 64, 2)
    h, w = frame.height, frame.width
    planes[:h] = cv2.add(planes[:h], noise[y:y+h, x:x+w], dtype=cv2.CV_8U)
    return av.VideoFrame.from_ndarray(planes, format='yuv420p')


def resized_sample(folder, w, h, noise=0.):
    """Return the path of the sample clip cut to 16:9 and resized to `w`×`h`; make the clip if `folder` lacks it.

    Enlarging removes the camera noise. `noise` adds some again: its standard deviation in grey levels."""
    path, rng = folder/f'{w}x{h}-noise-{noise:g}.mp4', np.random.default_rng(0)
    if path.exists(): return path
    folder.mkdir(parents=True, exist_ok=True)
    grain = np.int8(np.clip(rng.normal(0, noise, (h + 64, w + 64)), -100, 100))
    part = folder/f'making-{path.name}'
    with VideoReader(SAMPLE) as reader, av.open(str(part), 'w') as out:
        stream = out.add_stream('libx264', rate=25, options={'crf': '18', 'preset': 'veryfast'})
        stream.width, stream.height, stream.pix_fmt = w, h, 'yuv420p'
        for f in tqdm(reader.frames(), total=250, desc=path.name, leave=False):
            img = cv2.resize(to_bgr(f)[38:263], (w, h), interpolation=cv2.INTER_CUBIC)
            frame = av.VideoFrame.from_ndarray(img, format='bgr24').reformat(format='yuv420p')
            out.mux(stream.encode(add_noise(frame, grain, rng)))
        out.mux(stream.encode())
    return part.rename(path)


def first_frames(clip, n):
    "Return the path of a clip with the first `n` frames of `clip`, beside it; make that clip if it is missing."
    path = clip.with_name(f'{clip.stem}-{n}.mp4')
    return path if path.exists() else copy_frames(clip, path, n)


def result_path(clip, name):
    "Return the path, beside `clip`, to which the way `name` writes."
    return clip.with_name(f"result-{name.replace(' ', '-')}.mp4")


def mbit_per_second(clip):
    "Return the bit rate of a clip made by `resized_sample`, in Mbit/s."
    return clip.stat().st_size*8/SECONDS/1e6
