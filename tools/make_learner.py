"""Put the person net into a fastai Learner and export it, as the tutorial exports its U-Net.

    python tools/make_learner.py        writes sample_data/models/person.pkl
"""
import pickle
from pathlib import Path

from fastai.vision.all import (CrossEntropyLossFlat, DataBlock, ImageBlock, Learner, MaskBlock, RandomSplitter, Resize,
                               ResizeMethod, get_image_files)

from bgblur.core.net import person_net
from bgblur.learner import TwoClasses

DATA = Path(__file__).parent.parent/'sample_data'


def create_mask(fn):
    "The mask that belongs to the picture `fn`: pixels are 0 for background, 1 for person"
    return fn.parent.parent/'masks'/f'{fn.stem}.png'


def make_learner():
    "An untrained `Learner` around the person net, over the sample pictures at the tutorial's size."
    block = DataBlock(blocks=(ImageBlock, MaskBlock(['background', 'person'])), get_items=get_image_files, get_y=create_mask,
                      splitter=RandomSplitter(seed=42), item_tfms=Resize((360, 640), method=ResizeMethod.Squish))
    dls = block.dataloaders(DATA/'training'/'images', bs=4, num_workers=0)
    return Learner(dls, TwoClasses(person_net()), loss_func=CrossEntropyLossFlat(axis=1))


if __name__ == '__main__':
    learn = make_learner()
    # fastai's default, cloudpickle, would pack the bytecode of `create_mask` into the file, which only this Python
    # version could read. Plain pickle stores its name, as the tutorial's fastai did.
    learn.export((DATA/'models'/'person.pkl').absolute(), pickle_module=pickle)
    print(DATA/'models'/'person.pkl')
