"Check the promises of SECURITY.md: files from strangers, the page of `bgblur app`, temporary files, the network."
import ast
import asyncio
import ctypes
import json
import os
import pickle
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import zlib
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import av
import cv2
import numpy as np
import psutil
import pytest
from PIL import Image
from browser import app
from conftest import BIN, CLIP, ROOT, bgblur, run, write_clip
from test_command import one_sentence

from bgblur.io.image import read_image
from bgblur.camera.sources import FileSource
from bgblur.core.errors import BgblurError, ModelError
from bgblur.predict import load_segmenter
from bgblur.speed import copy_frames
from bgblur.background import background_from
from bgblur.video import blur_image, blur_video

LINUX = pytest.mark.skipif(not sys.platform.startswith('linux'), reason='needs inotify, a feature of Linux')
IMAGE = ROOT/'sample_data'/'rocket.jpg'


@contextmanager
def watch_opens(path):
    "Yield a function that returns whether any process has opened `path` since its last call. It uses inotify."
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(fd, os.fsencode(path), 0x20) > 0

    def opened():
        try: return bool(os.read(fd, 4096))
        except BlockingIOError: return False
    try: yield opened
    finally: os.close(fd)


# -- models ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def evil_pickle(tmp_path):
    "Return a pickle that creates a file when it is opened, and the path of that file."
    made = tmp_path/'made'

    class Evil:
        def __reduce__(self): return open, (str(made), 'w')
    (tmp_path/'evil.pkl').write_bytes(pickle.dumps(Evil()))
    return tmp_path/'evil.pkl', made


def test_pickle_runs_nothing_without_trust(evil_pickle, tmp_path, soak):
    model, made = evil_pickle
    commands = [['image', IMAGE, '-o', tmp_path/'a.png'], ['video', CLIP, '-o', tmp_path/'a.mp4'],
                ['live', '--source', CLIP, '--to', 'none', '--seconds', 1]]
    for args in commands if soak else commands[:1]: one_sentence(bgblur(*args, '--model', model), 'pickle', '--trust')
    with pytest.raises(ModelError, match='trust'): load_segmenter(model)
    assert not made.exists()
    # with trust the pickle runs, so this test is able to fail
    assert bgblur('image', IMAGE, '-o', tmp_path/'a.png', '--model', model, '--trust').returncode == 2 and made.exists()


@pytest.mark.parametrize('trust', [False, True])
def test_pickle_named_onnx_runs_nothing(evil_pickle, trust):
    model, made = evil_pickle
    with pytest.raises(ModelError, match='not a model'): load_segmenter(model.rename(model.with_suffix('.onnx')), trust=trust)
    assert not made.exists()


@pytest.fixture
def external_weights(tmp_path):
    "Return a function that writes nets/net.onnx, whose weights are in another file. That file exists at each location that we try."
    from onnx import TensorProto, helper
    weights = np.ones((64, 64), np.float32).tobytes()
    for folder in ('nets', 'nets/sub', 'cwd'): (tmp_path/folder).mkdir()
    for name in ('nets/w.bin', 'nets/sub/w.bin', 'cwd/w.bin', 'w.bin'): (tmp_path/name).write_bytes(weights)
    (tmp_path/'nets'/'link.bin').symlink_to('../w.bin')

    def make(location):
        w = TensorProto(name='w', data_type=TensorProto.FLOAT, dims=[1, 1, 64, 64], data_location=TensorProto.EXTERNAL)
        w.external_data.add(key='location', value=location.format(tmp_path))
        nodes = [helper.make_node('ReduceMean', ['x'], ['m'], axes=[1]), helper.make_node('Mul', ['m', 'w'], ['y'])]
        ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, 64, 64])] for n, c in (('x', 3), ('y', 1))]
        model = helper.make_model(helper.make_graph(nodes, 'g', *ends, [w]), opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
        (tmp_path/'nets'/'net.onnx').write_bytes(model.SerializeToString())
        return tmp_path/'nets'/'net.onnx'
    return make


@LINUX
@pytest.mark.parametrize('location, leads_to', [('w.bin', 'nets/w.bin'), ('sub/w.bin', 'nets/sub/w.bin'), ('../w.bin', 'w.bin'), ('link.bin', 'w.bin'),
                                                ('{}/w.bin', 'w.bin'), ('w.bin', 'cwd/w.bin'), ('/dev/zero', '/dev/zero')])
def test_model_reaches_no_other_file(external_weights, tmp_path, monkeypatch, location, leads_to):
    monkeypatch.chdir(tmp_path/'cwd')
    net = external_weights(location)
    with watch_opens(tmp_path/leads_to) as opened:
        with pytest.raises(ModelError, match='keeps its weights in another file'): load_segmenter(net)
        assert not opened()


@LINUX
def test_model_is_one_file(external_weights, tmp_path):
    net = external_weights('w.bin')
    one_sentence(bgblur('image', IMAGE, '-o', tmp_path/'a.png', '--model', net), 'net.onnx keeps its weights in another file')
    # onnxruntime alone opens the file, so the tests here are able to fail
    import onnxruntime
    with watch_opens(tmp_path/'nets'/'w.bin') as opened:
        onnxruntime.InferenceSession(str(net), providers=['CPUExecutionProvider'])
        assert opened()


def model_without_profile(path, **props):
    "Write a model of any size whose profile is unknown, with texts in its metadata. Return `path`."
    import onnx
    from onnx import TensorProto, helper
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, ['n', c, 'h', 'w'])] for n, c in (('input', 3), ('output', 1))]
    graph = helper.make_graph([helper.make_node('ReduceMean', ['input'], ['output'], axes=[1])], 'g', *ends)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    helper.set_model_props(model, props)
    onnx.save(model, path)
    return path


HOSTILE = {'a number': '7', 'null': 'null', 'a list': '[]', 'deep': '['*60_000, 'deep objects': '{"mean": '*9_000, 'long': '"' + 'a'*200_000 + '"', 'empty': '',
           'code': '__import__("os").system("touch made")', 'object tag': '{"__class__": "os.system"}', 'method': '{"prepare": 1}', 'underscore': '{"__init__": 1}',
           'NaN': '{"scale": NaN}', 'huge': '{"side": 1e308}', 'huge whole': '{"side": ' + '9'*4000 + '}', 'huger whole': '{"side": ' + '9'*5000 + '}',
           'memory': '{"size": [2000000, 2000000]}', 'classes': '{"channels": 1000000000}', 'escape': '{"title": "\\u001b[2J"}', 'surrogate': '{"name": "\\ud800"}',
           'path': '"../../etc/passwd"', 'url': '{"url": 5}', 'states': '{"states": {"input": "output"}}', 'extras': '{"extras": {"input": "x"}}',
           'many': json.dumps({'extras': {str(i): 1 for i in range(5000)}}), 'zeros': '{"std": [0, 0, 0]}', 'bool': '{"channel": true}'}


@pytest.mark.parametrize('text', HOSTILE.values(), ids=HOSTILE)
def test_profile_is_only_data(tmp_path, text):
    "A JSON beside a model, or its metadata, gives a profile or an error of one sentence. It runs nothing, and takes no memory."
    model = model_without_profile(tmp_path/'a.onnx')
    model.with_suffix('.json').write_text(text)
    in_metadata = model_without_profile(tmp_path/'b.onnx', bgblur_profile=text)
    tracemalloc.start()
    for path in (model, in_metadata):
        with pytest.raises(ModelError) as e: load_segmenter(path)
        message = str(e.value)
        assert message.isprintable() and message.endswith('.') and len(message) < 500
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6 and sorted(p.name for p in tmp_path.iterdir()) == ['a.json', 'a.onnx', 'b.onnx']


def test_endless_profile_is_refused(tmp_path):
    model = model_without_profile(tmp_path/'a.onnx')
    model.with_suffix('.json').write_bytes(b' '*10_000_000)
    with pytest.raises(ModelError, match='too long'): load_segmenter(model)
    with pytest.raises(ModelError, match='too long'): load_segmenter(model, profile=model.with_suffix('.json'))


def test_profile_opens_no_connection(tmp_path):
    "The address in a profile from a file is never used."
    model = model_without_profile(tmp_path/'a.onnx', bgblur_profile=json.dumps({'url': 'https://127.0.0.1:9/a.onnx', 'page': 'https://127.0.0.1:9/'}))
    code = "import socket, sys; socket.socket.connect = None; from bgblur.predict import load_segmenter; load_segmenter(sys.argv[1])"
    result = run(sys.executable, '-c', code, model)
    assert (result.returncode, result.stderr) == (0, '')


def test_changed_download_is_refused(tmp_path, monkeypatch):
    "A downloaded model must keep the SHA-256 that is pinned, or that the first download recorded."
    monkeypatch.setenv('BGBLUR_MODELS', str(tmp_path))
    for name in ('rvm', 'ben'):
        model_without_profile(tmp_path/f'{name}.onnx')
        with pytest.raises(ModelError, match='has changed since its download'): load_segmenter(name)


# -- clips that point to other files -----------------------------------------------------------------------------------

def hls(url): return f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-VERSION:3\n#EXTINF:0.4,\n{url}\n#EXT-X-ENDLIST\n'


def dash(url):
    return (f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT0.4S" minBufferTime="PT1S" '
            f'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000" '
            f'width="160" height="96" codecs="avc1.42c01e"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>')


def concat(url): return f"ffconcat version 1.0\nfile '{url}'\n"


def box(kind, data): return struct.pack('>I4s', len(data) + 8, kind) + data


def with_frames_elsewhere(clip, path):
    "Return a copy of the QuickTime file `clip` whose data reference is an alias: its frames are in `path`."
    data, path = clip.read_bytes(),path.encode()
    # volume, file name, levels up and down to the file; then records: 2 is the path, -1 the end
    alias = bytes(10) + bytes(28) + bytes(12) + bytes(64) + bytes(16) + struct.pack('>HH', 1, 1) + bytes(16)
    alias += struct.pack('>HH', 2, len(path)) + path + bytes(len(path) % 2) + b'\xff\xff\0\0'
    new = box(b'dref', struct.pack('>II', 0, 1) + box(b'alis', struct.pack('>I', 0) + alias))
    at = data.index(b'dref') - 4
    more = len(new) - struct.unpack('>I', data[at:at+4])[0]
    out = bytearray(data[:at] + new + data[at + len(new) - more:])
    for kind in (b'moov', b'trak', b'mdia', b'minf', b'dinf'):
        i = out.index(kind) - 4
        out[i:i+4] = struct.pack('>I', struct.unpack('>I', out[i:i+4])[0] + more)
    return bytes(out)


@pytest.fixture(scope='module')
def lures(tmp_path_factory, frames_of_red):
    "Yield a folder with the playable secret.mp4 and secret.ts, texts that point to them, and a server that lists its requests."
    folder = tmp_path_factory.mktemp('lures')
    write_clip(folder/'secret.mp4', frames_of_red, audio=None)
    with av.open(str(folder/'secret.mp4')) as src, av.open(str(folder/'secret.ts'), 'w') as dst:
        stream = dst.add_stream_from_template(src.streams.video[0])
        for packet in src.demux(video=0):
            if packet.size: packet.stream = stream; dst.mux(packet)
    calls = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args): super().__init__(*args, directory=str(folder))
        def parse_request(self): calls.append(self.raw_requestline); return super().parse_request()
        def log_message(self, *args): pass
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    http = f'http://127.0.0.1:{server.server_port}'
    sdp = 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {} RTP/AVP 96\na=rtpmap:96 H264/90000\n'.format(server.server_port + 1)
    texts = {'playlist': hls('secret.ts'), 'playlist-abs': hls(folder/'secret.ts'), 'playlist-http': hls(f'{http}/secret.ts'),
             'dash': dash('secret.mp4'), 'dash-http': dash(f'{http}/secret.mp4'),
             'concat': concat('secret.mp4'), 'concat-abs': concat(folder/'secret.mp4'), 'concat-http': concat(f'{http}/secret.mp4'),
             'session': sdp, 'text': 'hello world\n'*200, 'ansi': '\x1b[31mhello\x1b[0m\n'*200,
             'svg': f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{http}/secret.mp4"/></svg>'}
    yield folder, texts, calls, http
    server.shutdown()
    server.server_close()


@pytest.fixture(scope='module')
def frames_of_red(): return [np.full((96, 160, 3), (0, 0, 255), np.uint8)]*10


LURES = ['playlist', 'playlist-abs', 'playlist-http', 'dash', 'dash-http', 'concat', 'concat-abs', 'concat-http', 'session', 'text', 'ansi', 'svg']
ENDINGS = ['mp4', 'mkv', 'm3u8', 'mpd', 'ffconcat', 'sdp', 'txt']
OPENERS = {'video': lambda p: blur_video(p, p.with_name('out.mp4'), progress=False, overwrite=True), '-b': background_from,
         '--source': FileSource, 'bench': lambda p: copy_frames(p, p.with_name('out.mkv'), 2)}


@contextmanager
def no_secret_reached(folder, calls):
    "Check that no process opens the secrets or sends a request to the server within this context."
    before = len(calls)
    with watch_opens(folder/'secret.mp4') as mp4, watch_opens(folder/'secret.ts') as ts:
        yield
        assert not mp4() and not ts() and calls[before:] == []


@LINUX
@pytest.mark.parametrize('opener', OPENERS)
@pytest.mark.parametrize('lure', LURES)
def test_clip_reaches_no_other_file(lures, lure, opener):
    folder, texts, calls, _ = lures
    for ending in ENDINGS:
        path = folder/f'{lure}.{ending}'
        path.write_text(texts[lure])
        with no_secret_reached(folder, calls), pytest.raises(BgblurError) as e: OPENERS[opener](path)
        assert len(str(e.value).splitlines()) == 1


@LINUX
@pytest.mark.parametrize('name, args', [
    ('playlist.mp4', ['video', '{}', '-q', '-o', 'out.mp4']),
    ('concat.mp4', ['video', '{}', '-q', '-o', 'out.mp4']),
    ('playlist.m3u8', ['video', CLIP, '-q', '-o', 'out.mp4', '-b', '{}']),
    ('concat.mp4', ['live', '--to', 'none', '--seconds', '1', '-q', '--source', '{}']),
], ids=lambda v: v if isinstance(v, str) else ' '.join(os.path.basename(a) for a in v))
def test_command_refuses_a_playlist(lures, name, args, soak):
    folder, texts, calls, _ = lures
    for lure in [f'{text}.{ending}' for text in texts for ending in ENDINGS] if soak else [name]:
        (folder/lure).write_text(texts[lure.split('.')[0]])
        with no_secret_reached(folder, calls): one_sentence(bgblur(*[str(a).format(lure) for a in args], cwd=folder))
        assert not (folder/'out.mp4').exists()


@LINUX
@pytest.mark.parametrize('name', ['concat:secret.mp4|secret.mp4', 'subfile,,start,0,end,0,,:secret.mp4', 'pipe:', 'pipe:0.mp4', 'file:secret.mp4',
                                  'http:{}.mp4', 'data:video,x.mp4', 'crypto:secret.mp4'])
def test_protocol_name_is_a_file_name(lures, name, monkeypatch):
    "Treat a name that FFmpeg could take for a protocol as a file name: the file is missing, or is not a video."
    folder, _, calls, http = lures
    monkeypatch.chdir(folder)
    name = name.format(http.replace('/', ''))
    for content in (None, 'hello'):
        if content: Path(name).write_text(content)
        for open_it in OPENERS.values():
            with no_secret_reached(folder, calls), pytest.raises(BgblurError): open_it(Path(name))


@LINUX
@pytest.mark.parametrize('opener', OPENERS)
def test_pattern_in_a_name_is_not_expanded(tmp_path, frames, opener):
    "Open one file, where FFmpeg would expand frame_%03d.png to frame_000.png, frame_001.png and so on."
    for name in ('frame_000.png', 'frame_001.png', 'frame_%03d.png'): cv2.imwrite(str(tmp_path/name), frames[0])
    with watch_opens(tmp_path/'frame_000.png') as first, watch_opens(tmp_path/'frame_001.png') as second:
        try: OPENERS[opener](tmp_path/'frame_%03d.png')
        except BgblurError: pass
        assert not first() and not second()


@LINUX
def test_quicktime_reference_is_not_followed(tmp_path, frames_of_red, frames):
    "Refuse to follow the reference of a .mov to another file."
    secret = write_clip(tmp_path/'secret.mov', frames_of_red, audio=None)
    clip = write_clip(tmp_path/'plain.mov', frames[:3], audio=None)
    (tmp_path/'lure.mov').write_bytes(with_frames_elsewhere(clip, str(secret)))
    with watch_opens(secret) as opened:
        # FFmpeg follows the reference with this option, so this test is able to fail
        with av.open(str(tmp_path/'lure.mov'), options={'enable_drefs': '1'}): pass
        assert opened()
    for open_it in OPENERS.values():
        with watch_opens(secret) as opened:
            try: open_it(tmp_path/'lure.mov')
            except BgblurError: pass
            assert not opened()


# -- sizes -------------------------------------------------------------------------------------------------------------

# a forked process starts with the peak memory of its parent, and pytest's is large
PEAK = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss/1024)
"""


def run_with_peak_memory(*args, **kwargs):
    "Run `bgblur *args`. Return its exit code and standard error, and its peak memory in MB."
    done = run(sys.executable, '-c', PEAK, BIN/'bgblur', *args, **kwargs)
    code, mb = done.stdout.split()
    return subprocess.CompletedProcess(args, int(code), '', done.stderr), float(mb)


def refused_without_memory(*args, words=(), **kwargs):
    result, mb = run_with_peak_memory(*args, **kwargs)
    one_sentence(result, *words)
    assert mb < 600, mb


def encode_small(tmp_path, kind, codec, pix_fmt):
    "Return the bytes of a file with three frames of 300×260."
    with av.open(str(tmp_path/f'small.{kind}'), 'w') as out:
        v = out.add_stream(codec, rate=25)
        v.width, v.height, v.pix_fmt = 300, 260, pix_fmt
        for _ in range(3): out.mux(v.encode(av.VideoFrame.from_ndarray(np.full((260, 300, 3), 90, np.uint8), format='bgr24').reformat(format=pix_fmt)))
        out.mux(v.encode())
    return bytearray((tmp_path/f'small.{kind}').read_bytes())


def find_all(data, what):
    "Yield each position of `what` in `data`."
    at = -1
    while (at := data.find(what, at + 1)) >= 0: yield at


def set_png_size(data, side):
    for at in find_all(data, b'IHDR'):
        data[at+4:at+12] = struct.pack('>II', side, side)
        data[at+17:at+21] = struct.pack('>I', zlib.crc32(data[at:at+17]))


def huge_clip(tmp_path, kind, side):
    "Return the path of a file of about a kilobyte whose header claims frames of `side`×`side` pixels."
    if kind == 'avi':      # uncompressed
        data = encode_small(tmp_path, 'avi', 'rawvideo', 'bgr24')
        at = data.index(b'strf') + 12
        data[at:at+8] = struct.pack('<ii', side, side)
    elif kind == 'mkv':    # two bytes for each side
        data = encode_small(tmp_path, 'mkv', 'ffv1', 'yuv420p')
        at = data.index(b'\xb0\x82\x01\x2c\xba\x82\x01\x04')
        data[at+2:at+4] = data[at+6:at+8] = struct.pack('>H', side)
    elif kind == 'gif':
        data = encode_small(tmp_path, 'gif', 'gif', 'rgb8')
        data[6:10] = struct.pack('<HH', side, side)
    else:                  # the container claims 300×260, its frames another size
        data = encode_small(tmp_path, 'mov', 'png', 'rgb24')
        set_png_size(data, side)
    (tmp_path/f'huge.{kind}').write_bytes(data)
    return tmp_path/f'huge.{kind}'


# FFmpeg itself refuses more than 2**28 pixels
HUGE_CLIPS = [('avi', 100_000), ('gif', 16_000), ('mov', 16_000), ('gif', 65_535), ('mov', 100_000), ('mkv', 16_000)]


def test_clip_of_huge_frames_is_refused(tmp_path, soak):
    for kind, side in HUGE_CLIPS if soak else HUGE_CLIPS[:3]:
        refused_without_memory('video', huge_clip(tmp_path, kind, side), '-q', '-o', tmp_path/'out.mp4')
        assert not (tmp_path/'out.mp4').exists()


def huge_image(tmp_path, kind, side):
    "Return the path of an image of 8×8 pixels whose header claims `side`×`side`."
    data = bytearray(cv2.imencode(f'.{kind}', np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    if kind == 'png': set_png_size(data, side)
    elif kind == 'bmp': data[18:26] = struct.pack('<ii', side, side)
    elif kind == 'gif': data[6:10] = struct.pack('<HH', side, side)
    elif kind == 'webp': data[21:25] = struct.pack('<I', side - 1 | side - 1 << 14 | struct.unpack('<I', data[21:25])[0] >> 28 << 28)
    elif kind == 'jpg':
        at = data.index(b'\xff\xc0') + 5
        data[at:at+4] = struct.pack('>HH', side, side)
    else:
        at, = struct.unpack('<I', data[4:8])
        for i in range(at + 2, at + 2 + 12*struct.unpack('<H', data[at:at+2])[0], 12):
            if data[i:i+2] in (b'\0\1', b'\1\1'): data[i+2:i+12] = struct.pack('<HII', 4, 1, side)
    path = tmp_path/f'huge.{kind}'
    path.write_bytes(data)
    return path


HUGE = [('png', 100_000), ('jpg', 65_500), ('jpg', 30_000), ('bmp', 100_000), ('tif', 100_000), ('webp', 16_384), ('gif', 30_000)]


@pytest.mark.parametrize('kind, side', HUGE)
def test_huge_image_is_refused(tmp_path, kind, side):
    path, words = huge_image(tmp_path, kind, side), f'{side}×{side} pixels: at most 134 million'
    # as a source, as a background, and as an upload; the last two do not accept GIF
    with pytest.raises(BgblurError, match=words): blur_image(path, tmp_path/'out.png')
    if kind != 'gif':
        with pytest.raises(BgblurError, match=words): background_from(path)
        with Upload(path) as ask: assert words in ask('open')['error']


def test_huge_image_takes_no_memory(tmp_path):
    "Refuse an image for which OpenCV alone would allocate 5 GB."
    path = huge_image(tmp_path, 'jpg', 30_000)
    refused_without_memory('image', path, '-o', tmp_path/'out.png', words=['30000×30000'])
    refused_without_memory('video', CLIP, '-o', tmp_path/'out.mp4', '-b', path, words=['30000×30000'])
    # a small image at the start of a huge file is also refused
    path.write_bytes(IMAGE.read_bytes())
    os.truncate(path, 1_200_000_000)
    with pytest.raises(BgblurError, match='1.2 GB: at most 1.1'): read_image(path)


def ambiguous_image(path):
    "Write an image that has 8×8 pixels for one way to read its header, and 256 million or more for another. Return `path`."
    small = cv2.imencode(path.suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    if path.suffix == '.jpg':      # FF 00 is the start of a segment, or is skipped
        at = small.index(b'\xff\xc0') + 5
        large = small[2:at] + struct.pack('>HH', 16_000, 16_000) + small[at+4:]
        path.write_bytes(b'\xff\xd8\xff\0' + struct.pack('>H', len(large) + 2) + large + small[2:])
    elif path.suffix == '.gif':    # a height above 32767 is negative as a signed number
        path.write_bytes(small[:6] + struct.pack('<HH', 16_000, 33_000) + small[10:])
    else:                          # two widths, and decoders differ in which one they use
        pixels = zlib.compress(bytes(16_000**2))
        tags = [(256, 4, 16_000), (256, 4, 8), (257, 4, 16_000), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8 + 2 + 12*10 + 4), (277, 3, 1),
                (278, 4, 16_000), (279, 4, len(pixels))]
        path.write_bytes(b'II*\0' + struct.pack('<IH', 8, len(tags)) + b''.join(struct.pack('<HHII', t, k, 1, v) for t, k, v in tags) + bytes(4) + pixels)
    return path


def test_ambiguous_image_takes_no_memory(tmp_path):
    for kind in ('jpg', 'gif', 'tif'):
        result, mb = run_with_peak_memory('image', ambiguous_image(tmp_path/f'two.{kind}'), '-o', tmp_path/'out.png')
        # the decoders may print lines of their own
        assert result.returncode == 2 and result.stderr.strip().split('\n')[-1].startswith('bgblur: ') and mb < 600, (kind, mb, result.stderr)


def test_endless_file_is_refused(tmp_path):
    for args in (['image', '/dev/zero', '-o', tmp_path/'out.png'], ['image', IMAGE, '-o', tmp_path/'out.png', '-b', '/dev/zero']):
        refused_without_memory(*args)


def test_browser_camera_is_bounded(tmp_path):
    from bgblur.ui.live import BrowserCamera, NotebookSink
    camera = BrowserCamera(NotebookSink())
    for data, shape in ((huge_image(tmp_path, 'jpg', 16_000).read_bytes(), None), (IMAGE.read_bytes(), (427, 640, 3))):
        camera.sink.frames.put((1, data, 0.))
        got = camera.read()
        assert (got and got[0].shape) == shape


# -- the page ----------------------------------------------------------------------------------------------------------

class Upload:
    "Send a file to the page without a server. In a `with` block, yields a function that sends a request and returns the last answer."
    def __init__(self, path, name=None):
        from bgblur.app import App
        self.page = App()
        data = path.read_bytes()
        self.first = self.ask('receive', data, role='file', name=path.name if name is None else name, size=len(data), at=0)

    def ask(self, do, data=b'', **what):
        answers = []
        self.page.handle({'id': 1, 'do': do, **what}, [data], lambda facts, buffers: answers.append(facts))
        if self.page.thread: self.page.thread.join()
        return answers[-1]

    def __enter__(self): return self.ask
    def __exit__(self, *error): self.ask('forget')


LOOK = {'settings': {'background': '#00ff00'}, 'suffixes': {'image': '', 'clip': ''}}
NAMES = ['..', '../../x.jpg', '/etc/x.jpg', '/x.jpg', 'x\0.jpg', 'x'*300 + '.jpg', 'a\\..\\..\\x.jpg', 'C:\\x.jpg', '-rf.jpg', '', '.jpg', '.', 'x',
         '<img src=x onerror=alert(1)>.jpg', '"><script>alert(1)</script>.jpg', 'x\r\ny.jpg', '$(touch made).jpg', '~/x.jpg', 'upload.jpg', 'con.jpg']


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_upload_keeps_to_its_folder(tmp_path, monkeypatch, name):
    for folder in ('tmp', 'cwd'): (tmp_path/folder).mkdir()
    monkeypatch.chdir(tmp_path/'cwd')
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path/'tmp'))
    with Upload(IMAGE, name) as ask:
        assert 'error' not in ask('open')
        answer = ask('blur', **LOOK)
        assert 'error' not in answer and not {*answer['name']} & {*'/\\\0\r\n'} and len(answer['name']) < 200
        names = [p.relative_to(tmp_path/'tmp').as_posix() for p in tmp_path.rglob('*') if p.is_file()]
        assert sorted(re.sub(r'^bgblur-\w+/', '', n) for n in names) == [f'result{Path(answer["name"]).suffix}', 'upload']
    assert sorted(p.name for p in tmp_path.rglob('*')) == ['cwd', 'tmp']


HOSTILE = [dict(background='/etc/passwd'), dict(background='sky.jpg'), dict(background=['own']), dict(model='person.pkl'), dict(profile='x.json'),
           dict(device='cuda'), dict(background='own'), dict(background='own/../x')]


@pytest.mark.parametrize('settings', HOSTILE, ids=str)
def test_page_cannot_name_a_file(settings, monkeypatch, tmp_path):
    "Check all that a visitor's messages can choose."
    monkeypatch.chdir(tmp_path)
    shutil.copy(IMAGE, 'sky.jpg')
    with Upload(IMAGE) as ask:
        ask('open')
        for request in ('preview', 'blur'):
            rest = {} if request == 'preview' else {'suffixes': LOOK['suffixes']}
            assert 'error' in ask(request, settings=settings, **rest)
        for suffixes in ({'image': '.pkl'}, {'image': '/../x.jpg'}, {'image': 'x.jpg'}):
            assert 'error' in ask('blur', settings={}, suffixes=suffixes)
        assert 'error' in ask('receive', b'x', role='../x', name='x', size=1, at=0)
        assert 'error' in ask('handle') and 'error' in ask('_work') and 'error' in ask('uploads')
    assert os.listdir() == ['sky.jpg']


def test_page_shows_names_as_text():
    "The code of the page gives no variable text to the HTML parser."
    from bgblur.ui.page import PageView
    assert re.findall(r'innerHTML\s*=\s*(\w+)', str(PageView()._esm)) == ['ROW', 'HTML']
    assert not re.search(r'insertAdjacentHTML|outerHTML|document\.write|eval\(', str(PageView()._esm))


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    "Yield the process, the address and the folder for temporary files of the page of `bgblur app`."
    tmp = tmp_path_factory.mktemp('tmp')
    with app(TMPDIR=tmp) as (process, url): yield process, url, tmp


def fetch(url, **headers):
    "Return status, headers and text of the response."
    try:
        with urlopen(Request(url, headers={k.replace('_', '-'): v for k, v in headers.items()}), timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode(errors='replace')
    except HTTPError as e: return e.code, e.headers, e.read().decode(errors='replace')


def kernels(process): return [c for c in psutil.Process(process.pid).children(recursive=True) if 'ipykernel' in ' '.join(c.cmdline())]


def address(url): return url.split('?')[0]


def test_page_requires_its_token(page):
    process, url, _ = page
    before = len(kernels(process))
    for end in ('', '?token=', '?token=wrong', 'api/kernels/' + '0'*8 + '-0000-0000-0000-' + '0'*12):
        status, _, text = fetch(address(url) + end)
        assert (status == 403 or 'Password or token' in text) and 'kernelId' not in text
    assert len(kernels(process)) == before
    # other users of this computer can list the arguments of all processes
    assert 'for-the-test' not in ' '.join(psutil.Process(process.pid).cmdline())


def test_page_answers_to_this_computer_only(page):
    _, url, _ = page
    port = address(url).split(':')[2].strip('/')
    for host in ('evil.example', f'evil.example:{port}', '0.0.0.0', '192.0.2.1', 'localhost.evil.example', '127.0.0.1.evil.example'):
        assert fetch(url, Host=host)[0] == 403
    others = {a.address for addresses in psutil.net_if_addrs().values() for a in addresses if a.family.name in ('AF_INET', 'AF_INET6')}
    for ip in others - {'127.0.0.1'}:
        with pytest.raises(OSError): socket.create_connection((ip, int(port)), timeout=10).close()


def send_messages(url, kernel, *messages, **headers):
    "Send messages to the kernel's socket. Return the types of its replies, None for a closed connection, or the HTTP code of a refusal."
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import WebSocketClosedError, websocket_connect

    async def go():
        request = HTTPRequest(f'ws{address(url)[4:]}api/kernels/{kernel}/channels', headers={k.replace('_', '-'): v for k, v in headers.items()})
        try: channel = await websocket_connect(request)
        except HTTPClientError as e: return [e.code]
        heard = []
        try:
            for m in (*messages, message('kernel_info_request')): await channel.write_message(m)
        except WebSocketClosedError: return [None]
        while not heard or heard[-1] not in (None, 'kernel_info_reply'):
            m = await asyncio.wait_for(channel.read_message(), 60)
            heard.append(m and json.loads(m)['msg_type'])
        channel.close()
        return heard
    return asyncio.run(go())


@pytest.fixture
def kernel(page): return re.search(r'"kernelId": ?"([^"]+)"', fetch(page[1])[2])[1]


def test_page_limits_opencv(page, kernel):
    from bgblur.io.image import MAX_PIXELS
    assert {k.environ()['OPENCV_IO_MAX_IMAGE_PIXELS'] for k in kernels(page[0])} == {str(MAX_PIXELS)}


def message(kind, channel='shell', **content):
    return json.dumps({'header': {'msg_id': kind, 'msg_type': kind, 'username': '', 'session': 'x', 'version': '5.3', 'date': ''},
                       'parent_header': {}, 'metadata': {}, 'content': content, 'channel': channel, 'buffers': []})


def test_page_runs_no_code_of_visitors(page, kernel, tmp_path):
    _, url, _ = page
    code = f'open({str(tmp_path/"made")!r}, "w")'
    asked = [message('execute_request', channel, code=code, silent=False, store_history=False, user_expressions={'x': code}, allow_stdin=False)
             for channel in ('shell', 'control')]
    trusted = {'Authorization': 'token for-the-test'}
    heard = send_messages(url, kernel, *asked, **trusted)
    assert heard[-1] == 'kernel_info_reply' and 'execute_reply' not in heard and not (tmp_path/'made').exists()
    # it also refuses requests from other pages, and requests without the token
    assert send_messages(url, kernel) == [403] and send_messages(url, kernel, Origin='http://evil.example') == [403]
    assert send_messages(url, kernel, Host='evil.example', **trusted) == [403]


def test_page_closes_connection_on_too_much_data(page, kernel):
    trusted = {'Authorization': 'token for-the-test'}
    for size, hangs_up in ((3_000_000, False), (5_000_000, True)):
        heard = send_messages(page[1], kernel, message('comm_msg', comm_id='x', data='x'*size), **trusted)
        assert (heard[-1] is None) == hangs_up


PLACES = ['voila/files/bgblur.ipynb', 'voila/files/../app.py', 'voila/files/%2e%2e/app.py', 'voila/static/%2e%2e/app.py', 'voila/static//etc/passwd',
          'voila/static/%2fetc/passwd', 'voila/templates/lab/static//etc/passwd', 'voila/templates/lab/static/%2e%2e/index.html.j2',
          'voila/labextensions/%2e%2e/x', 'voila/labextensions//etc/passwd', 'voila/api/themes//etc/passwd', 'voila/api/contents', 'api/contents',
          'api/contents/bgblur.ipynb', 'api/kernels', 'api/sessions', 'api/terminals', 'api/config/common', 'terminals/1', 'tree', 'lab', 'voila/tree',
          'voila/render/bgblur.ipynb', 'nbs/00_predict.ipynb', 'files/bgblur.ipynb', 'notebooks/bgblur.ipynb']


def test_page_offers_nothing_else(page):
    process, url, _ = page
    before = len(kernels(process))
    for place in PLACES:
        status, _, text = fetch(address(url) + place, Authorization='token for-the-test')
        assert status in (403, 404, 500), place
        assert not re.search(r'root:|import App|"cells"|nbconvert', text), place
    assert len(kernels(process)) == before


def test_page_loads_nothing_from_elsewhere(page):
    _, headers, _ = fetch(page[1])
    policy = dict(p.split(' ', 1) for p in headers['Content-Security-Policy'].split('; '))
    assert {'default-src', 'script-src', 'style-src', 'connect-src'} <= {*policy}
    port = address(page[1]).split(':')[2].strip('/')
    for sources in policy.values():
        assert {*sources.split()} <= {"'self'", "'none'", "'unsafe-inline'", 'data:', 'blob:', f'ws://127.0.0.1:{port}', f'ws://localhost:{port}'}


def test_files_of_the_page_are_private(page, kernel):
    found = [p for p in page[2].rglob('*') if p.is_file()]
    assert found and all(any(not folder.stat().st_mode & 0o077 for folder in p.parents if page[2] in folder.parents) for p in found)


def test_live_widget_opens_no_port():
    "Check that the widget opens no port: it uses the connection of Jupyter."
    from bgblur.live import Live
    from bgblur.ui.live import BrowserCamera, LiveWidget

    def listening(): return {c.laddr for c in psutil.Process().net_connections() if c.status == 'LISTEN'}
    before, widget = listening(), LiveWidget(BrowserCamera, Live).start()
    try: assert widget.live and listening() == before
    finally: widget.stop()


# -- temporary files ---------------------------------------------------------------------------------------------------

def permissions_while_running(args, patterns, **kwargs):
    "Run `bgblur *args` until a path matches each of `patterns`, then stop it. Return the permissions of all matching paths."
    seen = {pattern: {} for pattern in patterns}
    with subprocess.Popen([BIN/'bgblur', *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, umask=0, **kwargs) as process:
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end and not all(seen.values()):
            for folder, pattern in patterns:
                for p in folder.glob(pattern):
                    try: seen[folder, pattern][p] = p.stat().st_mode & 0o777
                    except FileNotFoundError: pass
            time.sleep(.01)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    return seen


@pytest.mark.parametrize('what', ['video', 'folder', 'bench'])
def test_temporary_files_are_private(tmp_path, what):
    "Check that only the user can read temporary files, although the umask is 0."
    (tmp_path/'tmp').mkdir()
    src = shutil.copy(CLIP, tmp_path/'clip.mp4')
    args, patterns = {
        'video': (['video', src, '--stills', 1], [(tmp_path, '.*.part'), (tmp_path/'clip-blurred-stills', '.*.part')]),
        'folder': (['video', src, '-b', 'none', '-o', tmp_path/'out'], [(tmp_path, '.*.part')]),
        'bench': (['bench', src, '--frames', 50], [(tmp_path/'tmp', 'bgblur-*')])}[what]
    for rights in permissions_while_running(args, patterns, env=os.environ | {'TMPDIR': str(tmp_path/'tmp')}).values():
        assert rights and all(not r & 0o077 for r in rights.values()), rights


def test_upload_is_private(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    umask = os.umask(0)
    try:
        with Upload(IMAGE):
            files = [p for p in tmp_path.rglob('*') if p.is_file()]
            assert [p.name for p in files] == ['upload'] and not files[0].parent.stat().st_mode & 0o077
            assert not files[0].stat().st_mode & 0o077
    finally: os.umask(umask)
    assert [*tmp_path.iterdir()] == []


def test_location_and_camera_are_removed(tmp_path, frames):
    "Keep a clip's title, and remove its location and camera. Keep an image's camera, and remove its location and texts."
    src = write_clip(tmp_path/'plain.mp4', frames[:5])
    with av.open(str(src)) as plain, av.open(str(tmp_path/'told.mp4'), 'w', options={'movflags': 'use_metadata_tags'}) as told:
        told.metadata.update({'title': 'A talk', 'location': '+48.1234+011.5678/', 'com.apple.quicktime.model': 'SECRET'})
        tracks = {s: told.add_stream_from_template(s) for s in plain.streams}
        for track in tracks.values(): track.metadata['handler_name'] = 'SECRET'
        for packet in plain.demux():
            if packet.size: packet.stream = tracks[packet.stream]; told.mux(packet)
    exif = Image.Exif()
    exif.update({0x010F: 'Acme', 0x010E: 'SECRET', 0xC4A5: b'SECRET'})
    exif.get_ifd(0x8769).update({0x927C: b'SECRET', 0xA431: 'SECRET', 0x9286: b'SECRET'})
    exif.get_ifd(0x8825).update({0x1B: b'SECRET', 2: (48., 7., 24.)})
    Image.fromarray(frames[0][..., ::-1]).save(tmp_path/'told.jpg', exif=exif, comment='SECRET', xmp=b'<x>SECRET</x>')
    blur_video(tmp_path/'told.mp4', tmp_path/'out-told.mp4', progress=False)
    blur_image(tmp_path/'told.jpg', tmp_path/'out-told.jpg')
    for name in ('told.mp4', 'told.jpg'):
        assert b'SECRET' in (tmp_path/name).read_bytes()
        assert not re.search(rb'SECRET|48\.1234', (tmp_path/f'out-{name}').read_bytes())


# -- the network -------------------------------------------------------------------------------------------------------

NO_NETWORK = ['unshare', '--net'] if hasattr(os, 'geteuid') and os.geteuid() == 0 else ['unshare', '--user', '--net']


def clean_env(): return {k: v for k, v in os.environ.items() if k != 'ORT_DISABLE_TELEMETRY'}


@pytest.mark.skipif(not shutil.which('unshare') or run(*NO_NETWORK, 'true').returncode != 0, reason='cannot run a process without a network here')
def test_works_without_a_network(tmp_path, frames):
    src = write_clip(tmp_path/'clip.mp4', frames[:5])
    result = run(*NO_NETWORK, BIN/'bgblur', 'video', src, '-b', IMAGE, '-o', tmp_path/'out.mp4', env=clean_env())
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not shutil.which('strace'), reason='needs strace')
def test_sends_no_network_requests(tmp_path, frames):
    src = write_clip(tmp_path/'clip.mp4', frames[:5])
    trace = ['strace', '-f', '-qq', '-e', 'trace=socket,connect,sendto,sendmsg', '-o', tmp_path/'log']
    assert run(*trace, BIN/'bgblur', 'video', src, '-o', tmp_path/'out.mp4', env=clean_env()).returncode == 0
    assert 'AF_INET' not in (tmp_path/'log').read_text()
    # strace does list requests, so this test is able to fail
    run(*trace, sys.executable, '-c', 'import socket; socket.create_connection(("127.0.0.1", 9))')
    assert 'AF_INET' in (tmp_path/'log').read_text()


# -- the documents -----------------------------------------------------------------------------------------------------

def test_promises_name_tests_that_exist():
    files = [(ROOT/name).read_text() for name in ('SECURITY.md', 'FAULTS.md')]
    named = {m for text in files for m in re.findall(r'(test_\w+\.py)::(test_\w+)', text)}
    here = {(p.name, f.name) for p in (ROOT/'tests').glob('test_*.py') for f in ast.walk(ast.parse(p.read_text()))
            if isinstance(f, ast.FunctionDef) and f.name.startswith('test_')}
    assert named and not named - here
    assert {f for f in here if f[0] == Path(__file__).name and f[1] != 'test_promises_name_tests_that_exist'} <= named
