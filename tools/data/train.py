"""Fine-tune the person model on labelled images, and print its quality on held-out images before and after.

    python tools/data/train.py [FOLDER] [-o NAME] [--people FOLDER]

FOLDER contains images/ and masks/, as `save_labels` in nbs/ui/label.ipynb writes them. [default: the sample images]
This writes NAME.onnx for `bgblur video --model` and NAME.pkl for `load_learner`. [default: output/person-tuned]
"""
import argparse
import pickle
import sys
import warnings
from pathlib import Path
from time import perf_counter

warnings.simplefilter('ignore')    # fastai uses parts of PyTorch that print warnings

from bgblur.learner import (
    SIDE, create_mask, evaluate, fine_tune_gently, image_mask_pairs, labelled_images, learner_to_onnx,
    person_learner, webcam_dls)
from bgblur.core.errors import BgblurError
from bgblur.predict import load_segmenter
from fastai.vision.all import set_seed

ROOT = Path(__file__).resolve().parents[2]


def arguments():
    "Return the arguments of the command line."
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('folder', nargs='?', type=Path, default=ROOT/'sample_data'/'training', help='Train on the labelled images in this folder.')
    p.add_argument('-o', '--output', type=Path, default=ROOT/'output'/'person-tuned', help='Write to this path, with the suffixes .onnx and .pkl.')
    p.add_argument('--people', type=Path, help='Folder with labelled images of other people, to measure on them.')
    p.add_argument('--epochs', type=int, default=6, help='Train for N epochs. [default: 6]')
    return p.parse_args()


NAMES = f'before training, at {SIDE}x{SIDE} pixels', 'after training', 'the model in the package, at its default size'


def report(name, results):
    "Print a line for each model: its IoU and boundary F on the images `name`."
    print(name, *(f'  {model:46} IoU {iou:.4f}    boundary F {f:.4f}' for model, (iou, f) in zip(NAMES, results)), sep='\n', flush=True)


def verdict(after, built_in, path):
    "Return which model to use: the trained one only if both numbers are better on the held-out images."
    if all(a > b for a, b in zip(after, built_in)): return f'The trained model is better on the held-out images. Try it: bgblur video me.mp4 --model {path}'
    result = 'The model in the package is better' if all(a <= b for a, b in zip(after, built_in)) else 'Neither model is better'
    return f'{result} on the held-out images, so keep the one in the package. More labelled images or more epochs may help.'


def train(folder, output, people=None, epochs=6):
    "Train on the images in `folder`, write the model to `output` with two suffixes, and print the results."
    others = image_mask_pairs(people) if people else []    # report a wrong folder before training
    start = perf_counter()
    set_seed(42)
    dls = webcam_dls(folder)
    learn = person_learner(dls)
    print(f'{len(labelled_images(folder))} images: {len(dls.train_ds)} for training, {len(dls.valid_ds)} held out; training ...', flush=True)
    with learn.no_bar(), learn.no_logging(): fine_tune_gently(learn, epochs)
    output.parent.mkdir(parents=True, exist_ok=True)
    built_in, before, after = load_segmenter(), load_segmenter(), load_segmenter(learner_to_onnx(learn, output.with_suffix('.onnx')))
    before.side = SIDE     # the size at which we train
    learn.export(output.with_suffix('.pkl').absolute(), pickle_module=pickle)
    results = {}
    for name, pairs in {'held-out images': [(f, create_mask(f)) for f in dls.valid_ds.items], 'other people': others}.items():
        if not pairs: continue
        results[name] = [evaluate(s, pairs) for s in (before, after, built_in)]
        report(f'{name} ({len(pairs)})', results[name])
    print(f'{perf_counter() - start:.0f} s. {verdict(*results["held-out images"][1:], output.with_suffix(".onnx"))}')


if __name__ == '__main__':
    try: train(**vars(arguments()))
    except BgblurError as e: sys.exit(f'train: {e}')
