"""Fine-tune the person net on labelled pictures, and print how well it does on the held-out ones before and after.

    python tools/train.py [FOLDER] [-o NAME] [--people FOLDER]

FOLDER holds images/ and masks/, as the review in nbs/06_learner.ipynb saves them; default: the sample pictures.
Writes NAME.onnx for `bgblur video --model`, and NAME.pkl for `load_learner`; default: output/person-tuned.
"""
import argparse
import pickle
import sys
import warnings
from pathlib import Path
from time import perf_counter

warnings.simplefilter('ignore')    # PyTorch's and fastai's, about each other

from bgblur.learner import (
    SIDE, create_mask, evaluate, fine_tune_gently, labelled, learner_to_onnx, pairs_in, person_learner, webcam_dls)
from bgblur.core.errors import BgblurError
from bgblur.predict import load_segmenter
from fastai.vision.all import set_seed

ROOT = Path(__file__).parent.parent


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('folder', nargs='?', type=Path, default=ROOT/'sample_data'/'training', help='labelled pictures')
    p.add_argument('-o', '--output', type=Path, default=ROOT/'output'/'person-tuned', help='the files to write, without ending')
    p.add_argument('--people', type=Path, help='pictures of other people, with masks: does the training hurt there?')
    p.add_argument('--epochs', type=int, default=6, help='times through the pictures (default 6)')
    return p.parse_args()


NAMES = f'the net before the training, at {SIDE}x{SIDE} pixels', 'after it', 'the net in the package, at its usual size'


def report(name, results):
    "A line for each net: its IoU and boundary F on the pictures `name`"
    print(name, *(f'  {net:56} IoU {iou:.4f}    boundary F {f:.4f}' for net, (iou, f) in zip(NAMES, results)), sep='\n', flush=True)


def verdict(after, built_in, path):
    "Which net to use: the trained one only if it is better on the held-out pictures by both numbers"
    if all(a > b for a, b in zip(after, built_in)): return f'The trained net wins on the held-out pictures. Try it: bgblur video me.mp4 --model {path}'
    winner = 'The net in the package wins' if all(a <= b for a, b in zip(after, built_in)) else 'Neither net wins'
    return f'{winner} on the held-out pictures, so keep the one in the package. More labelled pictures, or more epochs, may help.'


def train(folder, output, people=None, epochs=6):
    others = pairs_in(people) if people else []    # a wrong folder is to be heard of before the training
    start = perf_counter()
    set_seed(42)
    dls = webcam_dls(folder)
    learn = person_learner(dls)
    print(f'{len(labelled(folder))} pictures: {len(dls.train_ds)} to learn from, {len(dls.valid_ds)} held out; training ...', flush=True)
    with learn.no_bar(), learn.no_logging(): fine_tune_gently(learn, epochs)
    output.parent.mkdir(parents=True, exist_ok=True)
    built_in, before, after = load_segmenter(), load_segmenter(), load_segmenter(learner_to_onnx(learn, output.with_suffix('.onnx')))
    before.side = SIDE     # as the trained one; the one in the package sees more
    learn.export(output.with_suffix('.pkl').absolute(), pickle_module=pickle)
    results = {}
    for name, pairs in {'held-out pictures': [(f, create_mask(f)) for f in dls.valid_ds.items], 'other people': others}.items():
        if not pairs: continue
        results[name] = [evaluate(s, pairs) for s in (before, after, built_in)]
        report(f'{name} ({len(pairs)})', results[name])
    print(f'{perf_counter() - start:.0f} s. {verdict(*results["held-out pictures"][1:], output.with_suffix(".onnx"))}')


if __name__ == '__main__':
    try: train(**vars(arguments()))
    except BgblurError as e: sys.exit(f'train: {e}')
