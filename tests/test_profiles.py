"Test the models of others: their arithmetic, how a file gets its profile, recurrent states, and downloads."
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import onnx
import pytest
from conftest import BIN, ROOT, bgblur, one_sentence, run, until
from onnx import TensorProto, helper, numpy_helper

from bgblur.core.attention import Attention
from bgblur.core.errors import ModelError
from bgblur.core.frame import as_frame
from bgblur.core.profiles import PROFILES, Profile, prepare, probability, profile_from_json
from bgblur.pipeline import Blurrer
from bgblur.predict import OnnxSegmenter, load_segmenter

PERSON = ROOT/'bgblur'/'weights'/'person.onnx'
IMAGE = ROOT/'sample_data'/'rocket.jpg'
FLOAT = TensorProto.FLOAT


def info(name, shape, kind=FLOAT): return helper.make_tensor_value_info(name, kind, shape)
def node(op, ins, outs, **attributes): return helper.make_node(op, ins.split(), outs.split(), **attributes)


def save(path, nodes, inputs, outputs, props=None, **constants):
    "Write an ONNX file of `nodes`, and return its path."
    graph = helper.make_graph(nodes, 'net', inputs, outputs, [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    helper.set_model_props(model, props or {})
    path.write_bytes(model.SerializeToString())
    return path


def first_channel(path, in_name='input', out_name='output', shape=('n', 3, 'h', 'w'), out_shape=('n', 1, 'h', 'w'), props=None, kind=FLOAT, then=()):
    "Write a model that returns the first channel of its input, after the nodes `then` from 'c' to 'y' if there are any."
    axis = 1 if shape[1] == 3 else 3
    nodes = [node('Gather', f'{in_name} zero', 'c' if then else out_name, axis=axis), *then]
    return save(path, nodes, [info(in_name, shape, kind)], [info(out_name, out_shape, kind)], props, zero=np.int64([0]))


def linear(a, b, out='output'):
    "Return nodes that compute `a*c + b`."
    return [helper.make_node('Constant', [], ['a'], value=numpy_helper.from_array(np.float32(a))),
            helper.make_node('Constant', [], ['b'], value=numpy_helper.from_array(np.float32(b))), node('Mul', 'c a', 'ac'), node('Add', 'ac b', out)]


# -- arithmetic --------------------------------------------------------------------------------------------------------

# one pixel with B, G, R = 51, 102, 204, which are .2, .4, .8 of 255; the input by hand, in the model's order of channels
SAME, HALF = (.8, .4, .2), (.3, -.1, -.3)
INPUTS = {
    'bgblur': SAME, 'mediapipe': SAME, 'meet': SAME, 'pp-mattingv2': SAME, 'rvm': SAME,
    **{f'longpipe-{tier}': SAME for tier in ('xs', 'small', 'medium', 'large', 'xl')},
    'modnet': (.6, -.2, -.6), 'pphumanseg': (.6, -.2, -.6),                         # (.8 - .5)/.5 = .6
    'ben': HALF, 'dis': HALF,                                                       # .8 - .5
    'birefnet-portrait': (.315/.229, -.056/.224, -.206/.225),
    # B, G, R: (51 - 102.890434)/(62.93292*255), ...
    'sinet': (-51.890434/16047.8946, -9.25247/16019.4519, 77.08788/16920.7048),
}
# the output with the logits -1 and 1, or the numbers .25 and .75, and the probability by hand
LOGITS, E2 = [[-1, 1], [0, 0]], math.e**2
TWO = ([[[.25, .5], [.9, 0]], [[.75, .5], [.1, 1]]], [[.75, .5], [.1, 1]])
ONE = ([[[.25, .75], [0, 1]]], [[.25, .75], [0, 1]])
OUTPUTS = {name: ONE for name in PROFILES} | {
    'sinet': TWO,
    'meet': ([[[0, 0], [0, 2]], LOGITS], [[1/(1 + math.e), math.e/(1 + math.e)], [.5, 1/(1 + E2)]]),
    'pphumanseg': ([[[0, 0], [0, 2]], LOGITS], [[1/(1 + math.e), math.e/(1 + math.e)], [.5, 1/(1 + E2)]]),
    'birefnet-portrait': ([LOGITS], [[1/(1 + math.e), math.e/(1 + math.e)], [.5, .5]]),
    'ben': ([[[2, 4], [3, 6]]], [[0, .5], [.25, 1]]), 'dis': ([[[2, 4], [3, 6]]], [[0, .5], [.25, 1]]),
}
SIZES = {'mediapipe': (256, 256), 'meet': (144, 256), 'sinet': (320, 320), 'pphumanseg': (192, 192), 'birefnet-portrait': (1024, 1024), 'ben': (1024, 1024),
         'dis': (1024, 1024), 'longpipe-xs': (240, 384), 'longpipe-small': (224, 384), 'longpipe-medium': (320, 512), 'longpipe-large': (400, 640),
         'longpipe-xl': (768, 1280)}


def test_each_profile_has_numbers_here(): assert {*INPUTS} == {*PROFILES} == {*OUTPUTS}


@pytest.mark.parametrize('name', PROFILES)
def test_input(name):
    p = PROFILES[name]
    pixels = np.full((32, 32, 3), (51, 102, 204), np.uint8)
    pixels[0, 3] = 0        # only this pixel differs, so a transposed image is noticed
    x = prepare(pixels, p, (32, 32))
    nchw = x if p.layout == 'NCHW' else x.transpose(0, 3, 1, 2)
    assert x.dtype == np.float32 and nchw.shape == (1, 3, 32, 32)
    for y, x in ((5, 9), (0, 0), (3, 0)): assert nchw[0, :, y, x] == pytest.approx(INPUTS[name], abs=1e-6)
    assert nchw[0, :, 0, 3] != pytest.approx(INPUTS[name], abs=1e-6)
    black = {'modnet': -1, 'pphumanseg': -1, 'ben': -.5, 'dis': -.5}.get(name)
    if black: assert (nchw[0, :, 0, 3] == black).all()
    assert p.size == SIZES.get(name, ())


@pytest.mark.parametrize('name', PROFILES)
def test_output(name):
    p = PROFILES[name]
    planes, expected = OUTPUTS[name]
    out = np.float32(planes)[None]
    if p.layout == 'NHWC': out = out.transpose(0, 2, 3, 1)
    outputs = {'other': np.zeros((1, 5, 2, 2)), p.output: out} if isinstance(p.output, str) else [np.zeros(3), out] if p.output == -1 else [out, np.zeros(3)]
    got = probability(outputs, p)
    assert got.dtype == np.float32 and got == pytest.approx(np.array(expected), abs=1e-6)


def test_outputs_of_other_exports():
    "PP-HumanSeg is also exported with an argmax, and with the channels last."
    p, logits = PROFILES['pphumanseg'], np.float32([[[[0, 3]], [[1, 1]]]])
    numbers = np.int64([[1, 0, 1], [0, 0, 1]])
    for out in (numbers[None], np.int32(numbers[None, None]), numbers[None, ..., None]): assert (probability([out], p) == numbers).all()
    assert probability([logits.transpose(0, 2, 3, 1)], p) == pytest.approx(probability([logits], p))


# -- which profile a file gets -----------------------------------------------------------------------------------------

def test_modnet_is_refused_without_a_profile(tmp_path, capfd):
    "At 0..1 MODNet would be wrong without any error, so its graph alone is not enough."
    with pytest.raises(ModelError) as e: load_segmenter(first_channel(tmp_path/'modnet.onnx'))
    message = str(e.value)
    assert message.startswith('modnet.onnx does not say how its input is normalised') and message.endswith('.') and len(message) < 400
    assert all(f' {name}' in message for name in ('bgblur', 'modnet', 'pp-mattingv2', 'longpipe-small')) and ' rvm' not in message
    assert 'sinet' not in message and 'pphumanseg' not in message       # two channels
    one_sentence(bgblur('image', IMAGE, '-o', tmp_path/'a.png', '--model', tmp_path/'modnet.onnx'), '--profile')


def minus_to_plus(path, **more):
    "Write a model like MODNet: it returns 1 for red and 0 for black pixels, if it gets them as 1 and -1."
    return first_channel(path, then=linear(.5, .5), **more)


def red_and_black():
    img = np.zeros((64, 96, 3), np.uint8)
    img[:, :48, 2] = 255
    return img


def test_profile_by_name(tmp_path):
    p = load_segmenter(minus_to_plus(tmp_path/'a.onnx'), profile='modnet')(red_and_black())
    assert p[:, :40].min() > .99 and p[:, 56:].max() < .01
    with pytest.raises(ModelError, match='no profile'): load_segmenter(tmp_path/'a.onnx', profile='modnett')
    # the second model has the right output, but no states
    for model in (tmp_path/'a.onnx', first_channel(tmp_path/'b.onnx', 'src', 'pha')):
        with pytest.raises(ModelError, match="the profile 'rvm' needs"): load_segmenter(model, profile='rvm')


@pytest.mark.parametrize('value', ['modnet', '"modnet"', '{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'])
def test_profile_in_the_metadata(tmp_path, value):
    p = load_segmenter(minus_to_plus(tmp_path/'a.onnx', props={'bgblur_profile': value}))(red_and_black())
    assert p[:, :40].min() > .99 and p[:, 56:].max() < .01


@pytest.mark.parametrize('value', ['"modnet"', '{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'])
def test_profile_in_a_file_beside(tmp_path, value):
    model = minus_to_plus(tmp_path/'a.onnx')
    model.with_suffix('.json').write_text(value)
    assert load_segmenter(model)(red_and_black())[:, :40].min() > .99
    (tmp_path/'other.json').write_text(value)
    model.with_suffix('.json').write_text('{"colour": "RGB"}')
    assert load_segmenter(model, profile=tmp_path/'other.json').profile.mean == (.5, .5, .5)     # the user decides first
    with pytest.raises(ModelError, match='everywhere|probabilities'): load_segmenter(first_channel(model, then=linear(0, .5)))


def test_order_of_the_sources(tmp_path):
    "The user comes first, then the metadata, then the JSON beside the file, then the graph."
    model = first_channel(tmp_path/'a.onnx', 'image', 'person', props={'bgblur_profile': 'pp-mattingv2'})
    model.with_suffix('.json').write_text('"dis"')
    assert OnnxSegmenter(model, profile='modnet').profile.name == 'modnet'
    assert OnnxSegmenter(model).profile.name == 'pp-mattingv2'
    first_channel(model, 'image', 'person')
    assert OnnxSegmenter(model).profile.name == 'dis'
    model.with_suffix('.json').unlink()
    assert OnnxSegmenter(model).profile.name == 'bgblur'


def test_our_old_exports_still_work(tmp_path):
    "They have the key `side`, or only the names of their input and output."
    old = onnx.load(PERSON)
    del old.metadata_props[:]
    onnx.save(old, tmp_path/'old.onnx')
    assert load_segmenter(tmp_path/'old.onnx').profile.name == 'bgblur'
    seg = load_segmenter(first_channel(tmp_path/'a.onnx', props={'side': '200'}))
    assert (seg.profile.name, seg.side) == ('bgblur', 200)


def test_our_model_names_its_profile():
    assert {p.key: p.value for p in onnx.load(PERSON).metadata_props} == {'bgblur_profile': 'bgblur'}


def test_command_takes_a_profile(tmp_path):
    cv2.imwrite(str(tmp_path/'a.png'), red_and_black())
    minus_to_plus(tmp_path/'a.onnx')
    result = bgblur('image', 'a.png', '-b', 'none', '-o', 'out.png', '--model', 'a.onnx', '--profile', 'modnet', cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, '')
    alpha = cv2.imread(str(tmp_path/'out.png'), cv2.IMREAD_UNCHANGED)[..., 3]
    assert alpha[:, :40].min() > 250 and alpha[:, 56:].max() < 5
    one_sentence(bgblur('image', 'a.png', '-o', 'b.png', '--model', 'a.onnx', '--profile', 'nobody', cwd=tmp_path), 'nobody', 'modnet')
    one_sentence(bgblur('image', 'a.png', '-o', 'b.png', '--profile', 'sinet', cwd=tmp_path), 'sinet')


# -- unusual signatures ------------------------------------------------------------------------------------------------

def test_channels_last(tmp_path):
    "Build the signature of MediaPipe's model; its names identify it."
    seg = load_segmenter(first_channel(tmp_path/'a.onnx', 'input_1:0', 'activation_10', (1, 256, 256, 3), (1, 256, 256, 1)))
    p = seg(red_and_black())
    assert seg.profile.name == 'mediapipe' and p[:, :40].min() > .99 and p[:, 56:].max() < .01


def test_logits_of_two_classes(tmp_path):
    "Build the signature of Meet's model: logits, channels last, another size."
    both = [*linear(2, -1, 'm'), node('Neg', 'm', 'n'), node('Concat', 'n m', 'segment:0', axis=3)]
    seg = load_segmenter(first_channel(tmp_path/'a.onnx', 'input_1:0', 'segment:0', (1, 144, 256, 3), (1, 144, 256, 2), then=both))
    p = seg(red_and_black())
    # the logits are -1 and 1 where it is red
    assert seg.profile.name == 'meet' and p[30, 10] == pytest.approx(1/(1 + math.exp(-2)), abs=1e-3) and p[30, 90] == pytest.approx(1/(1 + math.exp(2)), abs=1e-3)


def test_bgr_and_two_probabilities(tmp_path):
    "Build SINet's signature. Its first channel is blue, after the normalisation by hand."
    lo, hi = -102.890434/16047.8946, (255 - 102.890434)/16047.8946
    both = [*linear(1/(hi - lo), -lo/(hi - lo), 'm'), helper.make_node('Constant', [], ['one'], value=numpy_helper.from_array(np.float32(1))),
            node('Sub', 'one m', 'n'), node('Concat', 'n m', 'Softmax/1', axis=1)]
    seg = load_segmenter(first_channel(tmp_path/'a.onnx', 'data', 'Softmax/1', (1, 3, 320, 320), (1, 2, 320, 320), then=both))
    p = seg(red_and_black()[..., ::-1].copy())
    assert seg.profile.name == 'sinet' and p[:, :40].min() > .99 and p[:, 56:].max() < .01


@pytest.mark.parametrize('shape', [(1, 192, 192), (1, 1, 192, 192), (1, 192, 192, 1)], ids=str)
def test_class_numbers(tmp_path, shape):
    more = [node('Greater', 'c zero_f', 'g'), node('Cast', 'g', 'i', to=TensorProto.INT64), node('Reshape', 'i shape', 'out')]
    path = save(tmp_path/'a.onnx', [node('Gather', 'x zero', 'c', axis=1), *more], [info('x', (1, 3, 192, 192))], [info('out', shape, TensorProto.INT64)],
                zero=np.int64([0]), shape=np.int64(shape), zero_f=np.float32(0))
    p = load_segmenter(path, profile='pphumanseg')(red_and_black())
    assert p[:, :40].min() > .99 and p[:, 56:].max() < .01


def test_several_outputs_and_a_smaller_alpha(tmp_path):
    "BiRefNet returns several logits, the person's last; this one's have a quarter of the input's size."
    nodes = [node('Gather', 'input_image zero', 'c', axis=1), *linear(4, 0, 'm'), node('AveragePool', 'm', 'output_image', kernel_shape=[4, 4], strides=[4, 4]),
             node('Neg', 'm', 'first')]
    path = save(tmp_path/'a.onnx', nodes, [info('input_image', (1, 3, 1024, 1024))], [info('first', (1, 1, 1024, 1024)), info('output_image', (1, 1, 256, 256))],
                zero=np.int64([0]))
    p = load_segmenter(path)(red_and_black())
    high, low = (1 - .485)/.229, -.485/.229
    assert p.shape == (64, 96) and p[30, 10] == pytest.approx(1/(1 + math.exp(-4*high)), abs=1e-3) and p[30, 90] == pytest.approx(1/(1 + math.exp(-4*low)), abs=1e-3)


def test_half_precision(tmp_path):
    seg = load_segmenter(first_channel(tmp_path/'a.onnx', kind=TensorProto.FLOAT16), profile='bgblur')
    assert seg(red_and_black())[:, :40].min() > .99


@pytest.mark.parametrize('tier', ['xs', 'small', 'medium', 'large', 'xl'])
def test_longpipe_signature(tmp_path, tier):
    "The real files could not be had: this is a model of the same signature."
    size = SIZES[f'longpipe-{tier}']
    p = load_segmenter(first_channel(tmp_path/'a.onnx', shape=(1, 3, *size), out_shape=(1, 1, *size)), profile=f'longpipe-{tier}')(red_and_black())
    assert p[:, :40].min() > .99 and p[:, 56:].max() < .01
    with pytest.raises(ModelError) as e: load_segmenter(tmp_path/'a.onnx')
    assert [t for t in ('xs', 'small', 'medium', 'large', 'xl') if f'longpipe-{t}' in str(e.value)] == [tier]


# -- recurrent models --------------------------------------------------------------------------------------------------

def rvm(path, limit=None):
    """Write a model with RVM's signature. Its alpha is the red channel, made darker by the number of frames before: r/(1 + n/10).
    All four states count, each in its own place: the i-th grows by i and is divided by i. Above `limit` frames, it returns NaN."""
    names = [f'r{i}' for i in range(1, 5)]
    nodes = [node('Gather', 'src zero', 'red', axis=1), node('ReduceMax', 'r1i', 'n', keepdims=0),
             *(node('Add', f'{r}i {r}', f'{r}o') for r in names), *(node('Div', f'{r}i {r}', f'{r}n') for r in names),
             node('Sum', ' '.join(f'{r}n' for r in names), 'sum'), node('ReduceMax', 'sum', 's', keepdims=0),
             node('Div', 's forty', 'd'), node('Add', 'd one', 'e'), node('Div', 'red e', 'dark'), node('Mul', 'downsample_ratio one', 'used'),
             node('Sub', 'used used', 'nothing'), node('Sub', 'limit n', 'left'), node('Sqrt', 'left', 'root'), node('Sub', 'root root', 'nan'),
             node('Add', 'dark nothing', 'x'), node('Add', 'x nan', 'pha'), node('Mul', 'src one', 'fgr')]
    inputs = [info('src', ['n', 3, 'h', 'w']), *(info(f'{r}i', [f'a{r}', f'b{r}', f'c{r}', f'd{r}']) for r in names), info('downsample_ratio', [1])]
    outputs = [info('fgr', ['n', 3, 'h', 'w']), info('pha', ['n', 1, 'h', 'w']), *(info(f'{r}o', [f'e{r}', f'f{r}', f'g{r}', f'h{r}']) for r in names)]
    return save(path, nodes, inputs, outputs, zero=np.int64([0]), one=np.float32(1), forty=np.float32(40), limit=np.float32(limit or 1e6),
                **{f'r{i}': np.float32(i) for i in range(1, 5)})


def ages(ps): return [round(float(10*(1/p.max() - 1)), 2) for p in ps]


@pytest.fixture
def recurrent(tmp_path): return load_segmenter(rvm(tmp_path/'rvm.onnx'))


def test_states_are_carried_and_reset(recurrent):
    "The graph identifies RVM. After opening it, which tries an image, the states are as new."
    img = red_and_black()
    assert recurrent.profile.name == 'rvm' and recurrent.is_recurrent and recurrent.grey is None
    assert ages(recurrent(img) for _ in range(4)) == [0, 1, 2, 3]
    recurrent.reset()
    assert ages(recurrent(img) for _ in range(2)) == [0, 1]


def test_states_are_reset_by_a_cut_and_another_size(recurrent):
    img, other = red_and_black(), 255 - red_and_black()
    assert ages(recurrent(x) for x in (img, img, other, other, img, img[:, :90].copy(), img[:, :90].copy())) == [0, 1, 0, 1, 0, 0, 1]


def test_states_are_reset_after_a_failure(tmp_path):
    seg, img = load_segmenter(rvm(tmp_path/'rvm.onnx', limit=2)), red_and_black()
    assert ages(seg(img) for _ in range(3)) == [0, 1, 2]
    with pytest.raises(ModelError, match='NaN'): seg(img)
    assert ages(seg(img) for _ in range(2)) == [0, 1]


@pytest.mark.parametrize('together', [1, 5])
def test_attention_runs_a_recurrent_model_on_every_whole_frame(recurrent, together):
    "Nothing moves here, so another model would be skipped, and cropped to the red half."
    img, a = red_and_black(), Attention(recurrent)
    frames = [as_frame(img) for _ in range(20)]
    ps = [p for i in range(0, 20, together) for p in a.probabilities(frames[i:i+together], [j/25 for j in range(i, i + together)])]
    assert ages(ps) == [*range(20)] and len({p.shape for p in ps}) == 1
    a.reset()
    assert ages(a.probabilities(frames[:1], [0])) == [0]


def test_blurrer_with_a_recurrent_model(recurrent):
    img, b = red_and_black(), Blurrer(recurrent, strict=True)
    for i in range(12):
        b(img, i/25)
        assert ages([b.last.p]) == [i]
    b.reset()
    list(b.stream((img, i/25) for i in range(8)))
    assert ages([b.last.p]) == [7]
    assert b(img[:, :90].copy(), 1).shape == (64, 90, 3) and ages([b.last.p]) == [0]


# -- bgblur models -----------------------------------------------------------------------------------------------------

class Server(BaseHTTPRequestHandler):
    "Serves `files`: name -> bytes, or a number for a status, or a text for the address to which it forwards."
    def __init__(self, files, asked, *args):
        self.files, self.asked = files, asked
        super().__init__(*args)

    def log_message(self, *_): pass

    def do_GET(self):
        what = self.files.get(self.path[1:], 404)
        self.asked.append(self.path)
        if isinstance(what, bytes):
            self.send_response(200)
            self.send_header('Content-Length', str(len(what) + 1000*('short' in self.path)))
            self.end_headers()
            stuck = 'stuck' in self.path
            self.wfile.write(what[:len(what)//2] if stuck else what)
            if stuck: self.rfile.read(1)      # until the other side closes the connection
        elif isinstance(what, str):
            self.send_response(302)
            self.send_header('Location', what)
            self.end_headers()
        else: self.send_error(what)


@pytest.fixture
def site(tmp_path):
    "Yield an address, a dict of its files, and a list of what was asked for."
    files, asked = {}, []
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Server, files, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}', files, asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(tmp_path):
    "Return a function that runs `bgblur models get` with an empty folder of models."
    env = os.environ | {'BGBLUR_MODELS': str(tmp_path/'models')}
    return lambda *args, **more: bgblur('models', 'get', *args, env=env, **more)


def in_folder(tmp_path): return sorted(os.listdir(tmp_path/'models')) if (tmp_path/'models').exists() else []


def test_models_are_listed_with_licence_size_and_origin(tmp_path):
    result = bgblur('models', env=os.environ | {'BGBLUR_MODELS': str(tmp_path)})
    lines = result.stdout.split('\n')
    assert (result.returncode, result.stderr) == (0, '') and max(map(len, lines)) <= 80
    rows = {line.split()[0]: line for line in lines if line.strip()}
    for name, p in PROFILES.items(): assert p.licence in rows[name] and p.title in rows[name]
    assert 'GPL-3.0' in rows['rvm'] and '15 MB' in rows['rvm'] and PROFILES['rvm'].page in result.stdout


def test_nothing_is_downloaded_without_an_answer(site, get, tmp_path):
    address, files, asked = site
    files['a.onnx'] = PERSON.read_bytes()
    for answer, code in (('', 2), ('n\n', 1)):
        result = get('rvm', '--from', f'{address}/a.onnx', input=answer)
        assert result.returncode == code and 'GPL-3.0' in result.stdout and 'PeterL1n' in result.stdout
    assert 'Nothing was downloaded' in result.stdout and not asked and not in_folder(tmp_path)


def test_download_then_use(site, get, tmp_path):
    "Download a model of Longpipe's signature, after the server has forwarded us, and blur an image with it."
    address, files, _ = site
    small = first_channel(tmp_path/'a.onnx', shape=(1, 3, 224, 384), out_shape=(1, 1, 224, 384)).read_bytes()
    files |= {'a.onnx': f'{address}/b.onnx', 'b.onnx': small}
    result = get('longpipe-small', '--from', f'{address}/a.onnx', input='y\n')
    assert result.returncode == 0 and 'MIT' in result.stdout and '--model longpipe-small' in result.stdout
    digest = hashlib.sha256(small).hexdigest()
    assert in_folder(tmp_path) == ['longpipe-small.onnx', 'longpipe-small.sha256'] and (tmp_path/'models'/'longpipe-small.sha256').read_text().startswith(digest)
    assert 'already there' in get('longpipe-small', '--from', f'{address}/a.onnx').stdout
    cv2.imwrite(str(tmp_path/'a.png'), red_and_black())
    env = os.environ | {'BGBLUR_MODELS': str(tmp_path/'models')}
    result = bgblur('image', tmp_path/'a.png', '-b', 'none', '--model', 'longpipe-small', env=env)
    assert (result.returncode, result.stderr) == (0, '')
    assert cv2.imread(str(tmp_path/'a-cutout.png'), cv2.IMREAD_UNCHANGED)[..., 3][:, :40].min() > 250
    assert '(downloaded: longpipe-small)' in bgblur('models', env=env).stdout
    # the file on the disk, and another file at the address
    with open(tmp_path/'models'/'longpipe-small.onnx', 'ab') as f: f.write(b'\0')
    one_sentence(bgblur('image', tmp_path/'a.png', '-o', tmp_path/'b.png', '--model', 'longpipe-small', env=env), 'has changed')
    files['b.onnx'] = PERSON.read_bytes()
    result = get('longpipe-small', '--from', f'{address}/a.onnx', '--yes', '--overwrite')
    assert result.returncode == 2 and 'not the expected file' in result.stderr and digest in result.stderr
    files['b.onnx'] = small
    assert get('longpipe-small', '--from', f'{address}/a.onnx', '--yes', '--overwrite').returncode == 0


@pytest.mark.parametrize('file, words', [('none.onnx', '404'), ('page.onnx', 'not a model'), ('short.onnx', 'connection failed'), ('away.onnx', 'https://'),
                                         ('loop.onnx', 'too many'), ('broken.onnx', '500')])
def test_failed_download_leaves_nothing(site, get, tmp_path, file, words):
    address, files, asked = site
    files |= {'page.onnx': b'<html>Please log in.</html>', 'short.onnx': PERSON.read_bytes(), 'away.onnx': 'http://example.org/a.onnx',
              'loop.onnx': f'{address}/loop.onnx', 'broken.onnx': 500}
    result = get('longpipe-xs', '--from', f'{address}/{file}', '--yes')
    assert result.returncode == 2 and 'Traceback' not in result.stderr
    last = result.stderr.strip().split('\n')
    assert len(last) == 1 and last[0].startswith('bgblur: ') and last[0].endswith('.') and words in last[0], last
    assert len(asked) <= 6
    assert in_folder(tmp_path) == []


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no such signals')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_download_leaves_nothing(site, tmp_path, number):
    "The server sends half of the file and then waits."
    address, files, _ = site
    files['stuck.onnx'] = PERSON.read_bytes()
    env = os.environ | {'BGBLUR_MODELS': str(tmp_path/'models')}
    with subprocess.Popen([str(BIN/'bgblur'), 'models', 'get', 'ben', '--yes', '--from', f'{address}/stuck.onnx'], env=env,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: any((tmp_path/'models').glob('tmp*')), 'a temporary file')
        process.send_signal(number)
        process.wait(60)
        assert process.returncode in (128 + number, -number) and 'Traceback' not in process.stderr.read()
    assert in_folder(tmp_path) == []


def test_models_that_cannot_be_had(get, tmp_path):
    one_sentence(get('nobody'), "no model 'nobody'")
    one_sentence(get('ben', '--yes'), 'No address is known', PROFILES['ben'].page)
    one_sentence(get('rvm', '--yes', '--from', 'http://example.org/rvm.onnx'), 'https://')
    one_sentence(get('../../x', '--yes', '--from', 'https://example.org/rvm.onnx'), 'no model')
    env = os.environ | {'BGBLUR_MODELS': str(tmp_path/'models')}
    one_sentence(bgblur('image', IMAGE, '-o', tmp_path/'a.png', '--model', 'modnet', env=env), "run 'bgblur models get modnet'")
    one_sentence(bgblur('image', IMAGE, '-o', tmp_path/'a.png', '--model', 'longpipe-small', env=env), PROFILES['longpipe-small'].page)
    (tmp_path/'file').write_text('')
    result = get('rvm', '--yes', '--from', 'http://127.0.0.1:9/a.onnx')
    assert result.returncode == 2 and 'cannot be downloaded' in result.stderr
    env['BGBLUR_MODELS'] = str(tmp_path/'file'/'models')
    result = bgblur('models', 'get', 'rvm', '--yes', '--from', 'http://127.0.0.1:9/a.onnx', env=env)
    assert result.returncode == 2 and 'Traceback' not in result.stderr


def test_download_without_the_extra(tmp_path):
    "Hide pooch: the sentence names the extra."
    (tmp_path/'pooch.py').write_text('raise ModuleNotFoundError("No module named pooch", name="pooch")')
    env = os.environ | {'PYTHONPATH': f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", 'BGBLUR_MODELS': str(tmp_path/'models')}
    result = run(BIN/'bgblur', 'models', 'get', 'rvm', '--yes', env=env)
    assert result.returncode == 2 and "pip install 'bgblur[models]'" in result.stderr and not in_folder(tmp_path)


@pytest.mark.parametrize('name', [name for name, p in PROFILES.items() if p.url])
def test_addresses_are_https(name):
    p = PROFILES[name]
    assert p.url.startswith('https://') and p.page.startswith('https://') and (not p.sha256 or len(p.sha256) == 64)


def test_a_profile_survives_json():
    for p in PROFILES.values(): assert profile_from_json(json.dumps(asdict(p))) == p
    assert Profile() == profile_from_json('{}')
