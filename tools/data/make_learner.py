"""Export the person model in a fastai Learner, as the tutorial exports its U-Net.

    python tools/data/make_learner.py        writes sample_data/models/person.pkl
"""
import pickle
from pathlib import Path

from fastai.vision.all import (CrossEntropyLossFlat, DataBlock, ImageBlock, Learner, MaskBlock, RandomSplitter, Resize,
                               ResizeMethod, get_image_files)

from bgblur.core.net import person_net
from bgblur.learner import TwoClasses

DATA = Path(__file__).resolve().parents[2]/'sample_data'


def create_mask(fn):
    "Return the mask file of the image `fn`; its pixels are 0 for background and 1 for person."
    return fn.parent.parent/'masks'/f'{fn.stem}.png'


def make_learner():
    "Return a `Learner` with the person model, over the sample images at the tutorial's size."
    block = DataBlock(blocks=(ImageBlock, MaskBlock(['background', 'person'])), get_items=get_image_files, get_y=create_mask,
                      splitter=RandomSplitter(seed=42), item_tfms=Resize((360, 640), method=ResizeMethod.Squish))
    dls = block.dataloaders(DATA/'training'/'images', bs=4, num_workers=0)
    return Learner(dls, TwoClasses(person_net()), loss_func=CrossEntropyLossFlat(axis=1))


if __name__ == '__main__':
    learn = make_learner()
    # fastai's default, cloudpickle, stores the bytecode of `create_mask`, which only this Python version could read.
    # Plain pickle stores its name, like the tutorial's fastai.
    learn.export((DATA/'models'/'person.pkl').absolute(), pickle_module=pickle)
    print(DATA/'models'/'person.pkl')
