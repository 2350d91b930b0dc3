"""Run every step from the tutorial's loop to bgblur. 07_speed explains what each step changes.

    python tools/bench/steps.py STEP SRC DST     run one of WAYS and print frames, seconds, memory and stages as JSON

A *way* takes a source and a destination and returns the number of frames, the seconds, and optionally its stages.
"""
import sys
from functools import partial
from time import perf_counter

import cv2
import numpy as np

from bgblur import speed
from bgblur.pipeline import Blurrer
from bgblur.predict import load_segmenter, person_probability
from bgblur.speed import Clock, per_stage, report_run, run_blurrer
from bgblur.video import blur_video

SIZE = 640, 360
BLACK = np.zeros((*SIZE[::-1], 3), np.uint8)     # a model's first frame takes longer, so run it on this one first


# -- the tutorial's loop

def opencv_loop(src, dst, change, clock=None):
    """Run the usual loop of tutorials over a video: read, resize to 640×360, `change`, write as mp4v.

    `change` takes and returns BGR uint8 `(360,640,3)`; a `Clock` records the stages.
    Return the number of frames, and the seconds from opening the source to closing the destination."""
    clock, n, start = clock or Clock(), 0, perf_counter()
    reader = cv2.VideoCapture(str(src))
    writer = cv2.VideoWriter(str(dst), cv2.VideoWriter_fourcc(*'mp4v'), reader.get(cv2.CAP_PROP_FPS), SIZE)
    while True:
        with clock('read'): ok, frame = reader.read()
        if not ok: break
        with clock('resize'): frame = cv2.resize(frame, SIZE)
        img = change(frame)
        with clock('write'): writer.write(img)
        clock.next_frame()
        n += 1
    writer.release()
    return n, perf_counter() - start


def blur_full(img):
    "Return BGR uint8 `img` blurred as the tutorial does it."
    return cv2.GaussianBlur(img, (61, 61), 0)


def blend_numpy(fg, p, bg):
    "Return `fg` composited over `bg`, both uint8 `(H,W,3)`, with probability `p` `(H,W)`. This is the formula, written in numpy."
    p = p[..., None]
    return (p*fg + (1 - p)*bg).astype(np.uint8)


def frame_blurrer(segment, blur=blur_full, blend=blend_numpy, clock=None):
    """Return a function that blurs the background of one frame, BGR uint8 `(H,W,3)`.

    `segment` maps a frame to a person probability `(H,W)`; `blur` and `blend` are the other two stages."""
    clock = clock or Clock()

    def change(img):
        with clock('rest of predict'): p = segment(img)
        with clock('blur'): blurred = blur(img)
        with clock('blend'): return blend(img, p, blurred)
    return change


# -- the two learners

def make_learner(small=False):
    """Return a fastai learner for 640×360: the tutorial's U-Net on a resnet18, or our small model.

    The U-Net has random weights. Its masks are useless, but it takes the same time and needs no download."""
    from fastai.vision.all import (CrossEntropyLossFlat, DataBlock, ImageBlock, Learner, MaskBlock, Normalize, RandomSplitter,
                                   Resize, ResizeMethod, imagenet_stats, resnet18, unet_learner)

    from bgblur.core.net import person_net
    from bgblur.learner import TwoClasses
    block = DataBlock((ImageBlock, MaskBlock(['background', 'person'])), get_y=lambda img: img[..., 0],
                      splitter=RandomSplitter(seed=42), item_tfms=Resize(SIZE[::-1], method=ResizeMethod.Squish),
                      batch_tfms=None if small else Normalize.from_stats(*imagenet_stats))
    dls = block.dataloaders([np.zeros((36, 64, 3), np.uint8)]*4, bs=2, num_workers=0)
    if small: return Learner(dls, TwoClasses(person_net()), loss_func=CrossEntropyLossFlat(axis=1))
    return unet_learner(dls, resnet18, n_out=2, pretrained=False)


def timed_model(model, clock):
    "Return a PyTorch module that runs `model` and records its time as stage 'model' of `clock`."
    from torch import nn

    class TimedModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            with clock('model'): return self.model(x)
    return TimedModel()


def tutorial_stages(src, dst, learn=None):
    """Time the parts of the tutorial's loop with the fastai learner `learn`; None: the tutorial's U-Net.

    Return the number of frames, the seconds, and the stages as `per_stage` returns them."""
    learn, clock = learn or make_learner(), Clock()
    segment = partial(person_probability, learn)
    segment(BLACK)
    learn.model = timed_model(learn.model, clock)
    n, seconds = opencv_loop(src, dst, frame_blurrer(segment, clock=clock), clock)
    return n, seconds, per_stage(clock)


# -- steps 1 to 5 change what happens to one frame: each returns a function of a frame

def tutorial():
    "Blur with the tutorial's U-Net and `learn.predict`."
    return frame_blurrer(partial(person_probability, make_learner()))


def small_model():
    "Exchange the U-Net for the small person model."
    return frame_blurrer(partial(person_probability, make_learner(small=True)))


def model_only(learn):
    "Return a segmenter that runs the model of a fastai learner without `learn.predict`; it takes RGB in [0,1]."
    import torch
    net = learn.model.eval()

    def segment(img):
        x = torch.from_numpy(cv2.cvtColor(img, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)[None]/255
        with torch.inference_mode(): return torch.softmax(net(x), 1)[0, 1].numpy()
    return segment


def without_predict():
    "Call the PyTorch module instead of `learn.predict`."
    return frame_blurrer(model_only(make_learner(small=True)))


def onnx_runtime():
    "Run the same model with ONNX Runtime, at the frame's aspect ratio."
    return frame_blurrer(load_segmenter())


def blur_quarter(img):
    "Return about what `blur_full` returns, computed at a quarter of the width and height."
    h, w = img.shape[:2]
    small = cv2.resize(img, (w//4, h//4), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (15, 15), 0), (w, h), interpolation=cv2.INTER_LINEAR)


def quarter_blur():
    "Blur at a quarter of the size."
    return frame_blurrer(load_segmenter(), blur_quarter)


def blend_opencv(fg, p, bg):
    "Return what `blend_numpy` returns, computed in one pass, and rounded instead of truncated."
    return cv2.blendLinear(fg, bg, p, 1 - p)


def opencv_blend():
    "Blend with one call of OpenCV."
    return frame_blurrer(load_segmenter(), blur_quarter, blend_opencv)


# -- steps 6 to 10 change the loop, so each is a way

def h264_and_sound(src, dst):
    "Read and write with `blur_video`: H.264, sound, and timestamps as they were."
    change = opencv_blend()
    r = blur_video(src, dst, lambda img, time: change(img), overwrite=True, progress=False)
    return r.frames, r.seconds


def every_frame():
    "Return a `Blurrer` that runs the model on every frame."
    return Blurrer(skip=0)


def clean_edges(src, dst):
    "Use `Blurrer`, which removes halo, rough edge and flicker, in a single thread and in BGR."
    blurrer = every_frame()
    blurrer.background.accepts_yuv, blurrer.stream = False, partial(blurrer.stream, threads=False)
    return run_blurrer(src, dst, blurrer)


def threads(src, dst):
    "Decode and segment, composite, and encode in three threads."
    blurrer = every_frame()
    blurrer.background.accepts_yuv = False
    return run_blurrer(src, dst, blurrer)


def yuv_planes(src, dst):
    "Composite in YUV, without a BGR frame at full size."
    return run_blurrer(src, dst, every_frame())


STEPS = {'tutorial': tutorial, 'small model': small_model, 'without predict': without_predict, 'ONNX Runtime': onnx_runtime,
         'quarter-size blur': quarter_blur, 'OpenCV blend': opencv_blend}


def run_opencv_loop(make, src, dst):
    "Run the frame function that `make` returns in `opencv_loop`, warmed up by one black frame."
    change = make()
    change(BLACK)
    return opencv_loop(src, dst, change)


#: name: way, for everything that `make bench` can measure
WAYS = {**{name: partial(run_opencv_loop, make) for name, make in STEPS.items()},
        'H.264 and sound': h264_and_sound, 'clean edges': clean_edges, 'threads': threads, 'YUV planes': yuv_planes,
        **speed.WAYS, 'tutorial stages': tutorial_stages}
COMMAND = sys.executable, __file__


if __name__ == '__main__': report_run(WAYS[sys.argv[1]], *sys.argv[2:])
