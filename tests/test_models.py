"Models for other tasks, models that fail on some frames or are slow, and unexpected errors."
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import av
import cv2
import numpy as np
import onnx
import pytest
from conftest import BIN, CLIP, ROOT, bgblur, one_sentence, run, write_clip
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from bgblur.cli import app, main
from bgblur.pipeline import Blurrer
from bgblur.core.errors import ModelError
from bgblur.predict import load_segmenter
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader

PERSON = ROOT/'bgblur'/'weights'/'person.onnx'
IMAGE = ROOT/'sample_data'/'rocket.jpg'
ORIGINAL = json.loads((ROOT/'tests'/'sinet.json').read_text())
ANY_SIZE = (1, 3, 'h', 'w')     # h and w are names, so the model accepts every size


def save(path, nodes, in_shape=ANY_SIZE, out_shape='nchw', in_type=TensorProto.FLOAT, out_type=TensorProto.FLOAT, more_inputs=(), opset=17, **constants):
    "Write an ONNX file and return its path. `nodes` are tuples (operator, inputs, outputs, attributes)."
    made = [helper.make_node(op, ins.split(), outs.split(), **attributes) for op, ins, outs, attributes in nodes]
    inputs = [helper.make_tensor_value_info(name, in_type, in_shape) for name in ('image', *more_inputs)]
    output = helper.make_tensor_value_info('output', out_type, out_shape)
    graph = helper.make_graph(made, 'net', inputs, [output], [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()])
    domains = [helper.make_opsetid('', opset), helper.make_opsetid('other.domain', 1)]
    # onnx.save would refuse some of these models
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    helper.set_model_props(model, {'bgblur_profile': 'bgblur'})
    path.write_bytes(model.SerializeToString())
    return path


def grey(out, axes=(1,), **more): return ('ReduceMean', 'image', out, {'axes': list(axes), **more})
def node(op, ins, out='output', **attributes): return (op, ins, out, attributes)


def number(x): return np.float32(x)


# name of a model that we cannot use: arguments of `save`, and words of the error
UNUSABLE = {
    'two-inputs': (dict(nodes=[node('Add', 'image b', 'sum'), node('ReduceMean', 'sum', axes=[1])], more_inputs=['b']), "the profile 'bgblur' needs one float image"),
    'integers': (dict(nodes=[node('Cast', 'image', 'f', to=1), node('ReduceMean', 'f', axes=[1])], in_type=TensorProto.INT64), 'int64 (1, 3, h, w)'),
    'bytes': (dict(nodes=[node('Cast', 'image', 'f', to=1), node('ReduceMean', 'f', axes=[1])], in_type=TensorProto.UINT8), 'uint8 (1, 3, h, w)'),
    'channels-last': (dict(nodes=[grey('output', [3])], in_shape=(1, 256, 256, 3)), '(1, 256, 256, 3)'),
    'one-channel': (dict(nodes=[grey('output')], in_shape=(1, 1, 'h', 'w')), '(1, 1, h, w)'),
    'batch-of-four': (dict(nodes=[grey('output')], in_shape=(4, 3, 256, 256)), '(4, 3, 256, 256)'),
    'not-an-image': (dict(nodes=[node('Identity', 'image')], in_shape=('n', 3)), '(n, 3)'),
    'too-large': (dict(nodes=[grey('output')], in_shape=(1, 3, 100_000, 100_000)), '100000×100000'),
    'of-size-0': (dict(nodes=[grey('output')], in_shape=(1, 3, 0, 0)), '0×0'),
    'other-size-inside': (dict(nodes=[grey('m'), node('Reshape', 'm shape')], shape=np.int64([1, 1, 99, 99])), 'failed on an image of'),
    'too-much-memory': (dict(nodes=[grey('m', [1, 2, 3]), node('Expand', 'm shape')], shape=np.int64([1, 1, 10**6, 10**6])), 'memory'),
    'always-raises': (dict(nodes=[grey('m'), node('Gather', 'm index', 'g'), node('Mul', 'm g')], index=np.int64(9)), 'out of data bounds'),
    'two-channels': (dict(nodes=[grey('m'), node('Concat', 'm m', axis=1)]), 'and a probability (1, 1, h, w)'),
    'one-pixel': (dict(nodes=[grey('output', [1, 2, 3])]), 'everywhere'),
    'no-pixel': (dict(nodes=[grey('m'), node('Slice', 'm zero zero axis')], zero=np.int64([0]), axis=np.int64([2])), ' 0, '),
    'nan': (dict(nodes=[grey('m'), node('Sub', 'm m', 'z'), node('Div', 'z z')]), 'NaN'),
    # the brightest pixel becomes 0/0
    'nan-in-one-pixel': (dict(nodes=[grey('m'), node('ReduceMax', 'm', 'x', axes=[2, 3]), node('Sub', 'm x', 'd'), node('Div', 'd d', 'e'),
                                     node('Mul', 'e m')]), 'NaN'),
    'no-sigmoid': (dict(nodes=[grey('m'), node('Mul', 'm k')], k=number(9)), 'not probabilities in [0,1]'),
    'always-half': (dict(nodes=[grey('m'), node('Mul', 'm zero', 'z'), node('Add', 'z k')], zero=number(0), k=number(.5)), 'returned 0.50 everywhere'),
    'always-1': (dict(nodes=[grey('m'), node('Max', 'm k')], k=number(1)), 'returned 1.00 everywhere'),
    'unknown-opset': (dict(nodes=[grey('output')], opset=99), 'Opset 99'),
    'unknown-operator': (dict(nodes=[node('Magic', 'image', domain='other.domain')]), 'Magic'),
}
# name of a file that is not a model: words of the error
NOT_MODELS = {'text': 'is not a model', 'empty': 'is not a model', 'cut-off': 'is not a model', 'folder': 'is a folder', 'missing': 'no model file', 'n'*300: 'no model file'}


@pytest.fixture(scope='module')
def unusable(tmp_path_factory):
    "Return a folder with all unusable models."
    folder = tmp_path_factory.mktemp('models')
    for name, (options, _) in UNUSABLE.items(): save(folder/f'{name}.onnx', **options)
    (folder/'text.onnx').write_text('This is not a model.\n'*100)
    (folder/'empty.onnx').write_bytes(b'')
    (folder/'cut-off.onnx').write_bytes(PERSON.read_bytes()[:200_000])
    (folder/'folder.onnx').mkdir()
    return folder


@pytest.mark.parametrize('name, words', [*((k, v[1]) for k, v in UNUSABLE.items()), *NOT_MODELS.items()], ids=lambda x: x[:20])
def test_unusable_model_is_refused_when_opened(unusable, name, words, capfd):
    with pytest.raises(ModelError) as e: load_segmenter(unusable/f'{name}.onnx')
    message = str(e.value)
    assert f'{name}.onnx' in message and words in message and message.endswith('.')
    assert '\n' not in message and len(message) < 500 + len(name)
    assert 'onnxruntime_src' not in message and 'ONNXRuntimeError' not in message
    # onnxruntime must not print its own messages
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('command', [
    ['video', CLIP, '-o', 'out.mp4', '--model', 'always-1.onnx'], ['video', CLIP, '-o', 'out.mov', '-b', 'none', '--model', 'cut-off.onnx'],
    ['image', IMAGE, '-o', 'out.png', '--model', 'nan-in-one-pixel.onnx'],
    ['live', '--source', CLIP, '--to', 'none', '--seconds', '1', '--model', 'too-large.onnx']], ids=lambda c: c[0] + ' ' + c[-1])
def test_command_refuses_unusable_model_before_the_work(unusable, command):
    before = sorted(unusable.iterdir())
    one_sentence(bgblur(*command, cwd=unusable), command[-1])
    assert sorted(unusable.iterdir()) == before


@pytest.mark.parametrize('nodes, more', [
    ([grey('output')], {}),
    ([grey('output')], dict(in_shape=(1, 3, 200, 300))),
    ([grey('output')], dict(in_shape=('n', 3, None, None))),
    ([grey('m'), node('AveragePool', 'm', kernel_shape=[8, 8], strides=[8, 8])], {}),                     # a smaller output
    ([grey('m'), node('Cast', 'm', to=TensorProto.FLOAT16)], dict(out_type=TensorProto.FLOAT16)),
    ([grey('m'), node('Greater', 'm k', 'g'), node('Cast', 'g', to=TensorProto.INT64)], dict(out_type=TensorProto.INT64, k=number(.4))),
    ([grey('m'), node('Greater', 'm k')], dict(out_type=TensorProto.BOOL, k=number(.4))),
    ([grey('output', keepdims=0)], dict(out_shape='nhw')),
    ([grey('m'), node('Mul', 'm k')], dict(k=number(0))),                                                # never a person
], ids=['any size', 'one size', 'sizes without names', 'smaller', 'float16', 'integers', 'bool', 'three dimensions', 'always 0'])
def test_unusual_models_work(tmp_path, frames, nodes, more):
    p = load_segmenter(save(tmp_path/'model.onnx', nodes, **more))(frames[0])
    assert p.shape == frames[0].shape[:2] and p.dtype == np.float32 and 0 <= p.min() <= p.max() <= 1
    assert p.max() == 0 or np.ptp(p) > .1


# -- the portrait model, which tools/data/convert_portrait.py converted

@pytest.mark.parametrize('name', ORIGINAL)
def test_portrait_model_predicts_what_the_original_predicts(name):
    "sinet.json contains the original's prediction at every 20th pixel of a training image at 320x320."
    image = cv2.resize(cv2.imread(str(ROOT/'sample_data'/'training'/'images'/name)), (320, 320), interpolation=cv2.INTER_AREA)
    # not closer than this, because JPEG decoders differ by a level
    assert np.abs(load_segmenter('portrait')(image)[10::20, 10::20] - ORIGINAL[name]).max() < .02


def test_portrait_model_has_nothing_slow():
    graph = onnx.load(PERSON.with_name('portrait.onnx')).graph
    assert [i.name for i in graph.input] == ['image']      # weights that are inputs can't be folded
    assert not {n.op_type for n in graph.node} & {'PRelu', 'Softmax', 'BatchNormalization', 'Transpose', 'Reshape'}
    values = np.abs(np.concatenate([numpy_helper.to_array(c).ravel() for c in graph.initializer]))
    assert values[values > 0].min() >= 1e-20


@pytest.mark.parametrize('h, w', [(320, 320), (96, 224), (17, 301)])
def test_portrait_model_accepts_any_size(h, w):
    p = load_segmenter('portrait')(np.full((h, w, 3), 90, np.uint8))
    assert p.shape == (h, w) and p.dtype == np.float32 and 0 <= p.min() <= p.max() <= 1


def fails_in_the_dark(path, what):
    "Write the person model, changed: for a dark image it raises, or returns the constant `what`. Return `path`."
    model = onnx.load(PERSON)
    graph = model.graph
    next(n for n in graph.node if 'person' in n.output).output[0] = 'p'
    def add(op, ins, out, **attributes): graph.node.append(helper.make_node(op, ins.split(), [out], **attributes))
    add('ReduceMean', 'image', 'brightness', keepdims=0)
    add('Less', 'brightness limit', 'dark')
    graph.initializer.append(numpy_helper.from_array(np.float32(.4), 'limit'))
    if what == 'raises':
        graph.initializer.append(numpy_helper.from_array(np.float32([1]), 'ones'))
        add('Cast', 'dark', 'index', to=TensorProto.INT64)
        add('Gather', 'ones index', 'one')            # index 1 of one number raises
        add('Mul', 'p one', 'person')
    else:
        graph.initializer.append(numpy_helper.from_array(np.float32(what), 'other'))
        add('Where', 'dark other p', 'person')
    onnx.save(model, path)
    return path


def read_frames(path):
    with VideoReader(path) as reader: return [to_bgr(f) for f in reader if isinstance(f, av.VideoFrame)]


def detail(img): return cv2.Laplacian(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.CV_32F).std()


def hidden(img, source): return detail(img) < .4*detail(source)


@pytest.fixture(scope='module')
def dim(tmp_path_factory, frames):
    "Return a clip whose frames in `DARK` are dark, its frames, and the result of the person model, which does not fail."
    folder = tmp_path_factory.mktemp('dim')
    imgs = [cv2.convertScaleAbs(f, alpha=.6) if i in DARK else f for i, f in enumerate(frames[:40])]
    assert bgblur('video', write_clip(folder/'dim.mp4', imgs), '-q').returncode == 0
    return folder/'dim.mp4', read_frames(folder/'dim.mp4'), read_frames(folder/'dim-blurred.mp4')


DARK = (10, 20, 21, 22, 23)


@pytest.mark.parametrize('what, words', [('raises', 'out of data bounds'), (1, 'returned 1.00 everywhere')])
def test_frames_on_which_the_model_fails_are_hidden(tmp_path, dim, what, words):
    clip, source, expected = dim
    model = fails_in_the_dark(tmp_path/'model.onnx', what)
    result = bgblur('video', clip, '-o', tmp_path/'out.mp4', '--model', model)
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    last = result.stderr.strip().split('\n')[-1]
    assert last.startswith('bgblur: the model failed on 5 of 40 frames') and 'model.onnx' in last and words in last
    out = read_frames(tmp_path/'out.mp4')
    assert [i for i, (a, b) in enumerate(zip(out, source)) if hidden(a, b)] == list(DARK)
    # the other frames are as usual; the encoder changes them a little
    assert all(cv2.absdiff(a, b).mean() < 1.5 for i, (a, b) in enumerate(zip(out, expected)) if i not in DARK)


def test_debug_shows_where_the_model_failed(tmp_path, dim):
    model = fails_in_the_dark(tmp_path/'model.onnx', 'raises')
    cv2.imwrite(str(tmp_path/'dark.png'), dim[1][10])
    quiet, loud = (bgblur('image', tmp_path/'dark.png', '-o', tmp_path/f'{i}.png', '--model', model, *debug)
                   for i, debug in enumerate(([], ['--debug'])))
    assert quiet.returncode == loud.returncode == 1 and hidden(cv2.imread(str(tmp_path/'0.png')), dim[1][10])
    assert quiet.stderr.count('\n') == 1 and quiet.stderr.startswith('bgblur: the model failed, so the whole image is hidden. model.onnx')
    assert 'Traceback' in loud.stderr and 'session.run' in loud.stderr and loud.stderr.endswith(quiet.stderr)


def stream_with_failures(frames, fails, **options):
    "Blur `frames` with a model that raises where `fails(i)`. Return the blurrer, its results, and the numbers of the hidden ones."
    model, now = load_segmenter(), 0

    def numbered():
        nonlocal now
        for now, f in enumerate(frames): yield f, now/25

    def seg(frame):
        if fails(now): raise RuntimeError('out of memory')
        return model(frame)

    b = Blurrer(seg, **options)
    out = list(b.stream(numbered()))
    return b, out, [i for i, (a, f) in enumerate(zip(out, frames)) if hidden(a, f)]


@pytest.fixture(scope='module', params=[0, 5], ids=['model runs on every frame', 'model runs on changes'])
def moving(request, frames):
    "Return frames with motion, their results without failures, and the `Blurrer` option `skip`."
    frames = frames[60:100]
    _, expected, hidden_ones = stream_with_failures(frames, lambda i: False, skip=request.param)
    assert not hidden_ones
    return frames, expected, request.param


@pytest.mark.parametrize('fails', [lambda i: i == 20, lambda i: i % 2, lambda i: i >= 20], ids=['once', 'every second', 'from 20 on'])
def test_model_that_fails_on_some_frames(moving, fails):
    frames, expected, skip = moving
    b, out, hidden_ones = stream_with_failures(frames, fails, skip=skip)
    failing, n = [i for i in range(40) if fails(i)], len(hidden_ones)
    assert b.n_failed == n and b.n_with_person == 40 - n and str(b.last_error) == ('out of memory' if n else 'None')
    if not skip: assert hidden_ones == failing
    # a model that does not run cannot fail: its last prediction holds for up to a quarter of a second
    else: assert set(hidden_ones) <= set(failing) and all(set(range(i, i + 7)) & set(hidden_ones) for i in failing[:-6:7])
    assert all(cv2.absdiff(a, e).mean() < 1 for i, (a, e) in enumerate(zip(out, expected)) if i not in hidden_ones)


def test_frames_with_a_person_are_counted(frames):
    empty = cv2.GaussianBlur(frames[0], (0, 0), 30)     # the model finds no person here
    for threads in (True, False):
        b = Blurrer()
        list(b.stream([(f, i/25) for i, f in enumerate([*frames[:6], *[empty]*20])], threads=threads))
        # the matte holds the person for a moment
        assert 6 <= b.n_with_person < 20 and not b.n_failed
        b.reset()
        assert b.n_with_person == 0
        list(b.stream([(empty, i/25) for i in range(4)], threads=threads))
        assert b.n_with_person == 0


SLOW = '''
import os, signal, sys, time
from bgblur.pipeline import Blurrer
from bgblur.predict import load_segmenter
from bgblur.video import blur_video
now,started = 0,[]
def numbered(clip):
    global now
    for now,item in enumerate(clip): yield item
class Numbered(Blurrer):
    def stream(self, frames, *args, **kwargs): return super().stream(numbered(frames), *args, **kwargs)
model = load_segmenter()
def slow(frame):
    print(now, flush=True)
    if not started: os.kill(os.getpid(), signal.SIGINT)     # as Ctrl-C does
    started.append(now)
    time.sleep(1)
    return model(frame)
blur_video(sys.argv[1], sys.argv[2], Numbered(slow, skip=0))
'''


def test_ctrl_c_waits_for_one_frame_of_a_slow_model(tmp_path):
    "With a model that takes a second per frame, Ctrl-C waits for the current frame and starts no other one."
    result = run(sys.executable, '-c', SLOW, CLIP, tmp_path/'out.mp4')
    assert 'KeyboardInterrupt' in result.stderr
    assert set(result.stdout.split()) == {'0'}
    assert list(tmp_path.iterdir()) == []


# -- learners


@pytest.fixture(scope='module')
def learners(tmp_path_factory):
    "Real learners as .pkl files: the person model with more classes, and some that don't segment people."
    import pickle

    import torch
    from fastai.vision.all import CrossEntropyLossFlat, DataBlock, ImageBlock, Learner, MaskBlock, Resize, ResizeMethod, get_image_files

    from bgblur.core.net import person_net
    from bgblur.learner import TwoClasses, create_mask
    folder = tmp_path_factory.mktemp('learners')

    def classes(*kinds):
        "Return a model whose classes get the logits of the person, of the background, or of a class that is never present."
        conv = torch.nn.Conv2d(2, len(kinds), 1)
        with torch.no_grad():
            conv.weight[:] = torch.tensor([[0., kind == 'person'] for kind in kinds])[..., None, None]
            conv.bias[:] = torch.tensor([-99. if kind == 'never' else 0. for kind in kinds])
        return torch.nn.Sequential(TwoClasses(person_net()), conv)

    def export(name, codes, model):
        block = DataBlock(blocks=(ImageBlock, MaskBlock(codes)), get_items=get_image_files, get_y=create_mask,
                          item_tfms=Resize((180, 320), method=ResizeMethod.Squish))
        dls = block.dataloaders(ROOT/'sample_data'/'training'/'images', bs=2, num_workers=0)
        Learner(dls, model, loss_func=CrossEntropyLossFlat(axis=1)).export(folder/f'{name}.pkl', pickle_module=pickle)

    export('chair', ['background', 'person', 'chair'], classes('background', 'person', 'never'))
    export('first', ['person', 'chair', 'background'], classes('person', 'never', 'background'))
    export('abc', ['a', 'b', 'c'], classes('background', 'person', 'never'))
    export('classifier', ['background', 'person'], torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()))
    export('broken', ['background', 'person'], torch.nn.Conv2d(5, 2, 1))
    flat = torch.nn.Conv2d(3, 2, 1)
    with torch.no_grad(): flat.weight.zero_()
    export('flat', ['background', 'person'], flat)
    with open(folder/'other.pkl', 'wb') as f: pickle.dump({'not': 'a learner'}, f)
    (folder/'text.pkl').write_text('This is not a pickle.\n')
    return folder


@pytest.mark.parametrize('name', ['chair', 'first'])
def test_learner_of_three_classes(learners, frames, name):
    p, ours = load_segmenter(learners/f'{name}.pkl', trust=True)(frames[0]) > .5, load_segmenter()(frames[0]) > .5
    assert (p & ours).sum()/(p | ours).sum() > .95


@pytest.mark.parametrize('name, words', [('abc', "knows the classes ['a', 'b', 'c']: call the person's class 'person'"),
                                        ('classifier', 'not a probability (h, w)'), ('broken', 'failed on a frame'),
                                        ('flat', 'everywhere'), ('other', 'does not open as a fastai learner'), ('text', 'does not open as a fastai learner')])
def test_unusable_learner_is_refused(learners, name, words):
    with pytest.raises(ModelError) as e: load_segmenter(learners/f'{name}.pkl', trust=True)
    message = str(e.value)
    assert message.startswith(f'{name}.pkl') and words in message and message.endswith('.') and '\n' not in message


def test_command_refuses_unusable_learner(learners, monkeypatch, capsys):
    "Runs in this process, where PyTorch is already imported."
    before = sorted(learners.iterdir())
    monkeypatch.setattr(signal, 'signal', lambda *args: None)
    monkeypatch.setattr(sys, 'argv', ['bgblur', 'video', str(CLIP), '-o', str(learners/'out.mp4'), '--model', str(learners/'abc.pkl'), '--trust'])
    with pytest.raises(SystemExit) as e: main()
    assert e.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == '' and printed.err.startswith("bgblur: abc.pkl: The learner knows the classes ['a', 'b', 'c']") and printed.err.count('\n') == 1
    assert sorted(learners.iterdir()) == before


def test_learner_in_eight_threads(learners, frames, capfd):
    "fastai changes the state of a learner while it predicts."
    seg, some = load_segmenter(learners/'chair.pkl', trust=True), frames[::60]
    alone = [seg(f) for f in some]
    capfd.readouterr()
    with ThreadPoolExecutor(8) as pool: assert all(np.array_equal(a, b) for a, b in zip(alone, pool.map(seg, some), strict=True))
    assert capfd.readouterr() == ('', '')


# -- unexpected errors


@pytest.fixture
def broken(tmp_path):
    "Return a function that makes an environment in which importing PyAV raises a given error."
    def make(error):
        (tmp_path/'av.py').write_text(f'raise {error}\n')
        return os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path), str(ROOT)])}
    return make


@pytest.mark.parametrize('error, words', [
    ('ImportError("libavcodec.so.61: cannot open shared object file")', ['Unexpected error', 'ImportError: libavcodec.so.61', '--debug']),
    ('SystemError("one line\\nand another")', ['Unexpected error', 'SystemError: one line and another', '--debug']),
    ('MemoryError()', ['not enough memory'])], ids=['ImportError', 'SystemError', 'MemoryError'])
def test_unexpected_error_is_one_sentence(tmp_path, broken, error, words):
    result = bgblur('video', CLIP, '-o', tmp_path/'out.mp4', env=broken(error))
    one_sentence(result, *words)
    assert result.stdout == '' and not (tmp_path/'out.mp4').exists()


@pytest.mark.parametrize('args', [['--debug', 'video', CLIP], ['video', CLIP, '-o', 'out.mp4', '--debug']], ids=['before the command', 'at the end'])
def test_debug_shows_where_an_error_comes_from(tmp_path, broken, args):
    result = bgblur(*args, cwd=tmp_path, env=broken('SystemError("at home")'))
    assert result.returncode == 2
    first, *_, last = result.stderr.strip().split('\n')
    assert first.startswith('Traceback') and 'av.py' in result.stderr and 'bgblur/cli.py' in result.stderr
    assert last == 'bgblur: Unexpected error (SystemError: at home). Please report the output above.'


def test_debug_with_expected_errors_and_without_any(tmp_path):
    plain, shown = (bgblur('video', 'missing.mp4', *debug, cwd=tmp_path) for debug in ([], ['--debug']))
    one_sentence(plain, 'no file')
    assert shown.returncode == 2 and shown.stderr.startswith('Traceback') and shown.stderr.endswith(plain.stderr)
    for command in ('video', 'image', 'live', 'app', 'bench', 'models'): assert '--debug' in CliRunner().invoke(app, [command, '--help']).output
    assert bgblur('models', '--debug').stderr == ''
    # --debug does not change typer's own errors
    usage = bgblur('vidoe', '--debug')
    assert usage.returncode == 2 and 'Usage' in usage.stderr and 'Traceback' not in usage.stderr


def test_closed_pipe_is_not_an_error():
    with subprocess.Popen([str(BIN/'bgblur'), 'models'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ''
