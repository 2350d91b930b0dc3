"Nets that are no person segmenters, that fail on the way or take their time; and errors that nobody foresaw."
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
PICTURE = ROOT/'sample_data'/'rocket.jpg'
SIZE = (1, 3, 'h', 'w')


def save(path, nodes, takes=SIZE, returns='nchw', kind=TensorProto.FLOAT, answer=TensorProto.FLOAT, also=(), opset=17, **numbers):
    "An ONNX file. The nodes are written as (operator, inputs, outputs, attributes)"
    made = [helper.make_node(op, ins.split(), outs.split(), **attributes) for op, ins, outs, attributes in nodes]
    inputs = [helper.make_tensor_value_info(name, kind, takes) for name in ('image', *also)]
    output = helper.make_tensor_value_info('answer', answer, returns)
    graph = helper.make_graph(made, 'net', inputs, [output], [numpy_helper.from_array(np.array(v), k) for k, v in numbers.items()])
    domains = [helper.make_opsetid('', opset), helper.make_opsetid('somebody.else', 1)]
    # written by hand: onnx.save would refuse some of these
    path.write_bytes(helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString())
    return path


def grey(out, axes=(1,), **more): return ('ReduceMean', 'image', out, {'axes': list(axes), **more})
def then(op, ins, out='answer', **attributes): return (op, ins, out, attributes)


def number(x): return np.float32(x)


#: nets for something else, and what is said about each
NOT_OURS = {
    'two-inputs': (dict(nodes=[then('Add', 'image b', 'sum'), then('ReduceMean', 'sum', axes=[1])], also=['b']), 'not one float image'),
    'integers': (dict(nodes=[then('Cast', 'image', 'f', to=1), then('ReduceMean', 'f', axes=[1])], kind=TensorProto.INT64), 'int64 (1, 3, h, w)'),
    'bytes': (dict(nodes=[then('Cast', 'image', 'f', to=1), then('ReduceMean', 'f', axes=[1])], kind=TensorProto.UINT8), 'uint8 (1, 3, h, w)'),
    'channels-last': (dict(nodes=[grey('answer', [3])], takes=(1, 256, 256, 3)), '(1, 256, 256, 3)'),
    'one-channel': (dict(nodes=[grey('answer')], takes=(1, 1, 'h', 'w')), '(1, 1, h, w)'),
    'batch-of-four': (dict(nodes=[grey('answer')], takes=(4, 3, 256, 256)), '(4, 3, 256, 256)'),
    'no-picture': (dict(nodes=[then('Identity', 'image')], takes=('n', 3)), '(n, 3)'),
    'too-large': (dict(nodes=[grey('answer')], takes=(1, 3, 100_000, 100_000)), '100000×100000'),
    'of-size-0': (dict(nodes=[grey('answer')], takes=(1, 3, 0, 0)), '0×0'),
    'other-size-inside': (dict(nodes=[grey('m'), then('Reshape', 'm shape')], shape=np.int64([1, 1, 99, 99])), 'failed on an image of'),
    'too-much-memory': (dict(nodes=[grey('m', [1, 2, 3]), then('Expand', 'm shape')], shape=np.int64([1, 1, 10**6, 10**6])), 'memory'),
    'always-raises': (dict(nodes=[grey('m'), then('Gather', 'm index', 'g'), then('Mul', 'm g')], index=np.int64(9)), 'out of data bounds'),
    'two-channels': (dict(nodes=[grey('m'), then('Concat', 'm m', axis=1)]), 'instead of (1, 1, h, w)'),
    'three-dimensions': (dict(nodes=[grey('answer', keepdims=0)], returns='nhw'), 'instead of (1, 1, h, w)'),
    'one-pixel': (dict(nodes=[grey('answer', [1, 2, 3])]), 'everywhere'),
    'no-pixel': (dict(nodes=[grey('m'), then('Slice', 'm zero zero axis')], zero=np.int64([0]), axis=np.int64([2])), '(0, '),
    'nan': (dict(nodes=[grey('m'), then('Sub', 'm m', 'z'), then('Div', 'z z')]), 'NaN'),
    # the brightest pixel is x - x over x - x
    'nan-in-one-pixel': (dict(nodes=[grey('m'), then('ReduceMax', 'm', 'x', axes=[2, 3]), then('Sub', 'm x', 'd'), then('Div', 'd d', 'e'),
                                     then('Mul', 'e m')]), 'NaN'),
    'no-sigmoid': (dict(nodes=[grey('m'), then('Mul', 'm k')], k=number(9)), 'not probabilities in [0,1]'),
    'always-half': (dict(nodes=[grey('m'), then('Mul', 'm zero', 'z'), then('Add', 'z k')], zero=number(0), k=number(.5)), 'returned 0.50 everywhere'),
    'always-1': (dict(nodes=[grey('m'), then('Max', 'm k')], k=number(1)), 'returned 1.00 everywhere'),
    'unknown-opset': (dict(nodes=[grey('answer')], opset=99), 'Opset 99'),
    'unknown-operator': (dict(nodes=[then('Magic', 'image', domain='somebody.else')]), 'Magic'),
}
NO_NETS = {'text': 'is not a model', 'empty': 'is not a model', 'cut-off': 'is not a model', 'folder': 'is a folder', 'missing': 'no model file', 'n'*300: 'no model file'}


@pytest.fixture(scope='module')
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp('nets')
    for name, (net, _) in NOT_OURS.items(): save(folder/f'{name}.onnx', **net)
    (folder/'text.onnx').write_text('This is no net.\n'*100)
    (folder/'empty.onnx').write_bytes(b'')
    (folder/'cut-off.onnx').write_bytes(PERSON.read_bytes()[:200_000])
    (folder/'folder.onnx').mkdir()
    return folder


@pytest.mark.parametrize('name, said', [*((k, v[1]) for k, v in NOT_OURS.items()), *NO_NETS.items()], ids=lambda x: x[:20])
def test_is_refused_when_opened(nets, name, said, capfd):
    with pytest.raises(ModelError) as e: load_segmenter(nets/f'{name}.onnx')
    message = str(e.value)
    assert f'{name}.onnx' in message and said in message and message.endswith('.')
    assert '\n' not in message and len(message) < 500 + len(name)
    assert 'onnxruntime_src' not in message and 'ONNXRuntimeError' not in message
    # onnxruntime would write its own opinion to stderr
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('command', [
    ['video', CLIP, '-o', 'out.mp4', '--model', 'always-1.onnx'], ['video', CLIP, '-o', 'out.mov', '-b', 'none', '--model', 'cut-off.onnx'],
    ['image', PICTURE, '-o', 'out.png', '--model', 'nan-in-one-pixel.onnx'],
    ['live', '--source', CLIP, '--to', 'none', '--seconds', '1', '--model', 'too-large.onnx']], ids=lambda c: c[0] + ' ' + c[-1])
def test_command_refuses_it_before_the_work(nets, command):
    before = sorted(nets.iterdir())
    one_sentence(bgblur(*command, cwd=nets), command[-1])
    assert sorted(nets.iterdir()) == before


@pytest.mark.parametrize('nodes, more', [
    ([grey('answer')], {}),
    ([grey('answer')], dict(takes=(1, 3, 200, 300))),
    ([grey('answer')], dict(takes=('n', 3, None, None))),
    ([grey('m'), then('AveragePool', 'm', kernel_shape=[8, 8], strides=[8, 8])], {}),                     # a smaller answer
    ([grey('m'), then('Cast', 'm', to=TensorProto.FLOAT16)], dict(answer=TensorProto.FLOAT16)),
    ([grey('m'), then('Greater', 'm k', 'g'), then('Cast', 'g', to=TensorProto.INT64)], dict(answer=TensorProto.INT64, k=number(.4))),
    ([grey('m'), then('Greater', 'm k')], dict(answer=TensorProto.BOOL, k=number(.4))),
    ([grey('m'), then('Mul', 'm k')], dict(k=number(0))),                                                # nobody is there
], ids=['any size', 'one size', 'sizes without names', 'smaller', 'float16', 'integers', 'bool', 'always 0'])
def test_unusual_nets_work(tmp_path, frames, nodes, more):
    p = load_segmenter(save(tmp_path/'net.onnx', nodes, **more))(frames[0])
    assert p.shape == frames[0].shape[:2] and p.dtype == np.float32 and 0 <= p.min() <= p.max() <= 1
    assert p.max() == 0 or np.ptp(p) > .1


def in_the_dark(path, what):
    "The person net; if the picture is dark, it raises, or answers something else"
    model = onnx.load(PERSON)
    graph = model.graph
    next(n for n in graph.node if 'person' in n.output).output[0] = 'p'
    def node(op, ins, out, **attributes): graph.node.append(helper.make_node(op, ins.split(), [out], **attributes))
    node('ReduceMean', 'image', 'brightness', keepdims=0)
    node('Less', 'brightness limit', 'dark')
    graph.initializer.append(numpy_helper.from_array(np.float32(.4), 'limit'))
    if what == 'raises':
        graph.initializer.append(numpy_helper.from_array(np.float32([1]), 'ones'))
        node('Cast', 'dark', 'index', to=TensorProto.INT64)
        node('Gather', 'ones index', 'one')           # of one number there is no second
        node('Mul', 'p one', 'person')
    else:
        graph.initializer.append(numpy_helper.from_array(np.float32(what), 'other'))
        node('Where', 'dark other p', 'person')
    onnx.save(model, path)
    return path


def pictures(path):
    with VideoReader(path) as reader: return [to_bgr(f) for f in reader if isinstance(f, av.VideoFrame)]


def detail(img): return cv2.Laplacian(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.CV_32F).std()


def hidden(img, source): return detail(img) < .4*detail(source)


@pytest.fixture(scope='module')
def dim(tmp_path_factory, frames):
    "A clip whose light goes down in its frames 10 and 20 to 23, and what it becomes with the net that does not mind"
    folder = tmp_path_factory.mktemp('dim')
    imgs = [cv2.convertScaleAbs(f, alpha=.6) if i in DARK else f for i, f in enumerate(frames[:40])]
    assert bgblur('video', write_clip(folder/'dim.mp4', imgs), '-q').returncode == 0
    return folder/'dim.mp4', pictures(folder/'dim.mp4'), pictures(folder/'dim-blurred.mp4')


DARK = (10, 20, 21, 22, 23)


@pytest.mark.parametrize('what, said', [('raises', 'out of data bounds'), (1, 'returned 1.00 everywhere')])
def test_frames_on_which_it_fails_are_hidden(tmp_path, dim, what, said):
    clip, source, well = dim
    net = in_the_dark(tmp_path/'net.onnx', what)
    result = bgblur('video', clip, '-o', tmp_path/'out.mp4', '--model', net)
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    last = result.stderr.strip().split('\n')[-1]
    assert last.startswith('bgblur: the model failed on 5 of 40 frames') and 'net.onnx' in last and said in last
    out = pictures(tmp_path/'out.mp4')
    assert [i for i, (a, b) in enumerate(zip(out, source)) if hidden(a, b)] == list(DARK)
    # where it did not fail the picture is what it would have been, but for what the encoder makes of it
    assert all(cv2.absdiff(a, b).mean() < 1.5 for i, (a, b) in enumerate(zip(out, well)) if i not in DARK)


def test_debug_shows_where_the_net_failed(tmp_path, dim):
    net = in_the_dark(tmp_path/'net.onnx', 'raises')
    cv2.imwrite(str(tmp_path/'dark.png'), dim[1][10])
    quiet, loud = (bgblur('image', tmp_path/'dark.png', '-o', tmp_path/f'{i}.png', '--model', net, *debug)
                   for i, debug in enumerate(([], ['--debug'])))
    assert quiet.returncode == loud.returncode == 1 and hidden(cv2.imread(str(tmp_path/'0.png')), dim[1][10])
    assert quiet.stderr.count('\n') == 1 and quiet.stderr.startswith('bgblur: the model failed, so the whole image is hidden. net.onnx')
    assert 'Traceback' in loud.stderr and 'session.run' in loud.stderr and loud.stderr.endswith(quiet.stderr)


def played(frames, fails, **options):
    "What becomes of a clip of moving pictures if a net `fails` at some of them"
    net, now = load_segmenter(), 0

    def numbered():
        nonlocal now
        for now, f in enumerate(frames): yield f, now/25

    def seg(frame):
        if fails(now): raise RuntimeError('out of memory')
        return net(frame)

    b = Blurrer(seg, **options)
    out = list(b.stream(numbered()))
    return b, out, [i for i, (a, f) in enumerate(zip(out, frames)) if hidden(a, f)]


@pytest.fixture(scope='module', params=[0, 5], ids=['always asked', 'asked when something moves'])
def moving(request, frames):
    frames = frames[60:100]
    _, well, gone = played(frames, lambda i: False, skip=request.param)
    assert not gone
    return frames, well, request.param


@pytest.mark.parametrize('fails', [lambda i: i == 20, lambda i: i % 2, lambda i: i >= 20], ids=['once', 'every second', 'from 20 on'])
def test_failing_now_and_then(moving, fails):
    frames, well, skip = moving
    b, out, gone = played(frames, fails, skip=skip)
    wanted = [i for i in range(40) if fails(i)]
    assert b.n_failed == len(gone) and b.n_with_person == 40 - len(gone) and str(b.last_error) == ('out of memory' if gone else 'None')
    if not skip: assert gone == wanted
    # a net that is not asked cannot fail: the last answer may stand for a quarter of a second
    else: assert set(gone) <= set(wanted) and all(set(range(i, i + 7)) & set(gone) for i in wanted[:-6:7])
    assert all(cv2.absdiff(a, w).mean() < 1 for i, (a, w) in enumerate(zip(out, well)) if i not in gone)


def test_how_many_frames_show_somebody(frames):
    nobody = cv2.GaussianBlur(frames[0], (0, 0), 30)
    for threads in (True, False):
        b = Blurrer()
        list(b.stream([(f, i/25) for i, f in enumerate([*frames[:6], *[nobody]*20])], threads=threads))
        # the matte keeps him for a moment
        assert 6 <= b.n_with_person < 20 and not b.n_failed
        b.reset()
        assert b.n_with_person == 0
        list(b.stream([(nobody, i/25) for i in range(4)], threads=threads))
        assert b.n_with_person == 0


SLOW = '''
import os, signal, sys, time
from bgblur.pipeline import Blurrer
from bgblur.predict import load_segmenter
from bgblur.video import blur_video
now,asked = 0,[]
def numbered(clip):
    global now
    for now,item in enumerate(clip): yield item
class Numbered(Blurrer):
    def stream(self, frames, *args, **kwargs): return super().stream(numbered(frames), *args, **kwargs)
net = load_segmenter()
def slow(frame):
    print(now, flush=True)
    if not asked: os.kill(os.getpid(), signal.SIGINT)     # as Ctrl-C does
    asked.append(now)
    time.sleep(1)
    return net(frame)
blur_video(sys.argv[1], sys.argv[2], Numbered(slow, skip=0))
'''


def test_slow_net_is_left_after_one_frame(tmp_path):
    "With a net of a second a frame, Ctrl-C waits for the frame it is at, and begins no other. The first is the worst: three wait for it"
    result = run(sys.executable, '-c', SLOW, CLIP, tmp_path/'out.mp4')
    assert 'KeyboardInterrupt' in result.stderr and '0/250' in result.stderr       # the bar was there before the first frame
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
    (folder/'text.pkl').write_text('This is no pickle.\n')
    return folder


@pytest.mark.parametrize('name', ['chair', 'first'])
def test_learner_of_three_classes(learners, frames, name):
    p, ours = load_segmenter(learners/f'{name}.pkl', trust=True)(frames[0]) > .5, load_segmenter()(frames[0]) > .5
    assert (p & ours).sum()/(p | ours).sum() > .95


@pytest.mark.parametrize('name, said', [('abc', "knows the classes ['a', 'b', 'c']: call the person's class 'person'"),
                                        ('classifier', 'not a probability (h, w)'), ('broken', 'failed on a frame'),
                                        ('flat', 'everywhere'), ('other', 'does not open as a fastai learner'), ('text', 'does not open as a fastai learner')])
def test_unusable_learner_is_refused(learners, name, said):
    with pytest.raises(ModelError) as e: load_segmenter(learners/f'{name}.pkl', trust=True)
    message = str(e.value)
    assert message.startswith(f'{name}.pkl') and said in message and message.endswith('.') and '\n' not in message


def test_command_refuses_unusable_learner(learners, monkeypatch, capsys):
    "Runs in this process, where PyTorch is already imported."
    before = sorted(learners.iterdir())
    monkeypatch.setattr(signal, 'signal', lambda *args: None)
    monkeypatch.setattr(sys, 'argv', ['bgblur', 'video', str(CLIP), '-o', str(learners/'out.mp4'), '--model', str(learners/'abc.pkl'), '--trust'])
    with pytest.raises(SystemExit) as e: main()
    assert e.value.code == 2
    said = capsys.readouterr()
    assert said.out == '' and said.err.startswith("bgblur: abc.pkl: The learner knows the classes ['a', 'b', 'c']") and said.err.count('\n') == 1
    assert sorted(learners.iterdir()) == before


def test_learner_in_eight_threads(learners, frames, capfd):
    "fastai changes the state of a learner while it predicts."
    seg, pictures = load_segmenter(learners/'chair.pkl', trust=True), frames[::60]
    alone = [seg(f) for f in pictures]
    capfd.readouterr()
    with ThreadPoolExecutor(8) as pool: assert all(np.array_equal(a, b) for a, b in zip(alone, pool.map(seg, pictures), strict=True))
    assert capfd.readouterr() == ('', '')


# -- errors that nobody foresaw


@pytest.fixture
def broken(tmp_path):
    "An environment in which PyAV cannot be imported, for one reason or another"
    def make(error):
        (tmp_path/'av.py').write_text(f'raise {error}\n')
        return os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path), str(ROOT)])}
    return make


@pytest.mark.parametrize('error, words', [
    ('ImportError("libavcodec.so.61: cannot open shared object file")', ['Unexpected error', 'ImportError: libavcodec.so.61', '--debug']),
    ('SystemError("one line\\nand another")', ['Unexpected error', 'SystemError: one line and another', '--debug']),
    ('MemoryError()', ['not enough memory'])], ids=['ImportError', 'SystemError', 'MemoryError'])
def test_unforeseen_error_is_one_sentence(tmp_path, broken, error, words):
    result = bgblur('video', CLIP, '-o', tmp_path/'out.mp4', env=broken(error))
    one_sentence(result, *words)
    assert result.stdout == '' and not (tmp_path/'out.mp4').exists()


@pytest.mark.parametrize('args', [['--debug', 'video', CLIP], ['video', CLIP, '-o', 'out.mp4', '--debug']], ids=['before the command', 'at the end'])
def test_debug_shows_where_it_comes_from(tmp_path, broken, args):
    result = bgblur(*args, cwd=tmp_path, env=broken('SystemError("at home")'))
    assert result.returncode == 2
    first, *_, said = result.stderr.strip().split('\n')
    assert first.startswith('Traceback') and 'av.py' in result.stderr and 'bgblur/cli.py' in result.stderr
    assert said == 'bgblur: Unexpected error (SystemError: at home). Please report the output above.'


def test_debug_goes_with_foreseen_errors_and_without_any(tmp_path):
    plain, shown = (bgblur('video', 'missing.mp4', *debug, cwd=tmp_path) for debug in ([], ['--debug']))
    one_sentence(plain, 'no file')
    assert shown.returncode == 2 and shown.stderr.startswith('Traceback') and shown.stderr.endswith(plain.stderr)
    for command in ('video', 'image', 'live', 'bench', 'models'): assert '--debug' in CliRunner().invoke(app, [command, '--help']).output
    assert bgblur('models', '--debug').stderr == ''
    # typer's own errors are what they were
    usage = bgblur('vidoe', '--debug')
    assert usage.returncode == 2 and 'Usage' in usage.stderr and 'Traceback' not in usage.stderr


def test_reader_that_goes_away_is_no_error():
    with subprocess.Popen([str(BIN/'bgblur'), 'models'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ''
