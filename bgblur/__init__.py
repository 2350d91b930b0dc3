"""Blur the background of webcam video, offline and on a CPU.

    from bgblur import Blurrer, blur_video

    blur_video('me.mp4', 'me-blurred.mp4')     # a clip, with its sound, resolution and timing
    blurred = Blurrer()(frame)                 # one BGR uint8 frame of your own program

Also here: `blur_image` for an image, `batch` for many files, `explore` for a control for every
parameter, `live` for a webcam in a notebook. The parts of a `Blurrer` are `Matte`,
`load_segmenter` and `background_from`. Your own parts are functions, or subclasses of `Segmenter`,
`BaseMatte` and `Background` (see `help(Blurrer)`):

    def sea(frame, alpha, bg): return np.full_like(frame, (150, 120, 40))
    def hard(frame, p, seconds):
        return (cv2.resize(p, frame.shape[1::-1]) > .5).astype('float32')
    blurred = Blurrer(matte=hard, background=sea)(frame)

Each name is loaded when it is first used.
"""
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

#: public name: the module that defines it
EXPORTS = {'Background': 'background', 'BaseMatte': 'matte', 'Blurrer': 'pipeline', 'Matte': 'matte', 'Segmenter': 'predict',
           'background_from': 'background', 'blur_image': 'video', 'blur_video': 'video', 'explore': 'explore', 'live': 'live',
           'load_segmenter': 'predict', 'as_quality': 'core.quality', 'batch': 'batch'}

# the same for type checkers and editors, which do not run `__getattr__`
if TYPE_CHECKING:
    from .background import Background as Background, background_from as background_from
    from .batch import batch as batch
    from .core.quality import as_quality as as_quality
    from .explore import explore as explore
    from .live import live as live
    from .matte import BaseMatte as BaseMatte, Matte as Matte
    from .pipeline import Blurrer as Blurrer
    from .predict import Segmenter as Segmenter, load_segmenter as load_segmenter
    from .video import blur_image as blur_image, blur_video as blur_video

# only what is installed: help() and a star import load every name
__all__ = [name for name in EXPORTS if name != 'explore' or find_spec('anywidget')]


def __getattr__(name):
    if name not in EXPORTS: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return vars(import_module(f'{__name__}.{EXPORTS[name]}'))[name]


def __dir__(): return sorted({*globals(), *__all__})


class _Package(ModuleType):
    "Python sets a loaded submodule as an attribute of its package. Here `batch`, `explore` and `live` stay the functions."
    def __setattr__(self, name, value):
        if not (name in EXPORTS and isinstance(value, ModuleType)): super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
