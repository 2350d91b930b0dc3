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

from fastai.vision.all import set_seed

from bgblur.learner import (SIDE, create_mask, fine_tune_gently, judge, labelled, learner_to_onnx, pairs_in, person_learner,
                            webcam_dls)
from bgblur.predict import BgblurError, load_segmenter

ROOT = Path(__file__).parent.parent
warnings.simplefilter('ignore')    # PyTorch's and fastai's, about each other


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('folder', nargs='?', type=Path, default=ROOT/'sample_data'/'training', help='labelled pictures')
    p.add_argument('-o', '--output', type=Path, default=ROOT/'output'/'person-tuned', help='the files to write, without ending')
    p.add_argument('--people', type=Path, help='pictures of other people, with masks: does the training hurt there?')
    p.add_argument('--epochs', type=int, default=6, help='times through the pictures (default 6)')
    return p.parse_args()


def report(name, before, after, built_in):
    print(f'{name:28} IoU {before[0]:.4f} -> {after[0]:.4f}    boundary F {before[1]:.4f} -> {after[1]:.4f}    '
          f'(the net as it comes, shown more pixels: {built_in[0]:.4f}, {built_in[1]:.4f})', flush=True)


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
    for name, pairs in {'held-out pictures': [(f, create_mask(f)) for f in dls.valid_ds.items], 'other people': others}.items():
        if pairs: report(f'{name} ({len(pairs)})', *(judge(s, pairs) for s in (before, after, built_in)))
    print(f'{perf_counter() - start:.0f} s. Try it: bgblur video me.mp4 --model {output.with_suffix(".onnx")}')


if __name__ == '__main__':
    try: train(**vars(arguments()))
    except BgblurError as e: sys.exit(f'train: {e}')
