"Test long clips, many clips, and many in parallel: memory, open files, threads and results stay the same."
import _thread
import gc
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import av
import cv2
import numpy as np
import pytest
from conftest import read_frames, times, write_clip

from bgblur.matte import Matte
from bgblur.pipeline import Blurrer
from bgblur.predict import load_segmenter
from bgblur.video import blur_video


def repeat(src, dst, n):
    "Repeat the clip `n` times without encoding it again. Return `dst`."
    with av.open(str(src)) as a, av.open(str(dst), 'w') as out:
        streams = {s: out.add_stream_from_template(s) for s in a.streams}
        length = a.streams.video[0].frames/a.streams.video[0].average_rate
        for k in range(n):
            a.seek(0)
            for packet in a.demux():
                if packet.dts is None: continue
                later = round(k*length/packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, streams[packet.stream]
                out.mux(packet)
    return dst


def child(script, *args, **env):
    "Run a script in its own process, so that the memory of pytest does not count. Return its JSON."
    done = subprocess.run([sys.executable, '-c', script, *map(str, args)], capture_output=True, text=True, env=os.environ | env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


WATCH = '''
import gc, json, sys
from pathlib import Path
import av, psutil
from bgblur.pipeline import Blurrer
from bgblur.core.errors import BgblurError
from bgblur.predict import OnnxSegmenter, load_segmenter
from bgblur.io.reader import VideoReader
from bgblur.video import blur_video
me = psutil.Process()
def now():
    "Return the memory in MB, and the numbers of open files and threads."
    return me.memory_info().rss/1e6, me.num_fds(), me.num_threads()
'''

# without Python's collector, reference cycles keep their memory and this test fails
LONG = WATCH + '''
gc.disable()
seen = []
class Watched(Blurrer):
    def stream(self, *args, **kwargs):
        for i,img in enumerate(super().stream(*args, **kwargs)):
            if i % int(sys.argv[3]) == 0: seen.append(now())
            yield img
report = blur_video(sys.argv[1], sys.argv[2], Watched(), progress=False)
assert not report.n_failed and report.audio == 'copied'
print(json.dumps(seen))
'''


@pytest.mark.parametrize('size, short, long', [((640, 360), 250, 20_000), ((1920, 1080), 0, 10_000)], ids=['360p', '1080p'])
def test_long_clip_needs_no_more_memory_than_a_short_one(tmp_path, frames, soak, size, short, long):
    n = long if soak else short
    if not n: pytest.skip('only in make soak')
    src = write_clip(tmp_path/'once.mp4', [cv2.resize(f, size) for f in frames[:50]])
    every, start = n//50, 500 if soak else 100     # setup is done by then
    seen = child(LONG, repeat(src, tmp_path/'long.mp4', n//50), tmp_path/'out.mp4', every)
    assert len(seen) == 50 and len(times(tmp_path/'out.mp4')) == n
    early, late = (np.median(s, axis=0) for s in (seen[start//every:][:5], seen[-10:]))
    assert late[0] - early[0] < max(8, .05*early[0]), (early, late)
    assert late[1] <= early[1] and late[2] <= early[2], (early, late)


MANY = WATCH + '''
folder,n = Path(sys.argv[1]),int(sys.argv[2])
def raises(*args): raise RuntimeError('at work')
kinds = {
    'good.mp4': {}, 'cut.mp4': {}, 'text.mp4': {}, 'damaged.mkv': {}, 'good.mkv': {'overwrite': False}, 'sound.mkv': {},
    'background': {'blurrer': lambda: Blurrer(background=raises)}, 'function': {'blurrer': lambda: raises},
    'net': {'blurrer': lambda: Blurrer(raises)}, 'matte': {'blurrer': lambda: Blurrer(matte=raises)},
    'stills': {'stills': 4, 'stills_dir': folder/'stills'}, 'cutout': {'transparent': True}, 'bad model': {'blurrer': lambda: load_segmenter(folder/'bad.onnx')},
}
def blur(name, blurrer=None, transparent=False, overwrite=True, **kwargs):
    src = folder/(name if '.' in name else 'good.mp4')
    dst = folder/f'out{".mov" if transparent else ".mp4" if overwrite else ".mkv"}'
    blur_video(src, dst, blurrer and blurrer(), overwrite=overwrite, transparent=transparent, progress=False, **kwargs)
def held(): return [sum(isinstance(o, kind) for o in gc.get_objects()) for kind in (av.VideoFrame, Blurrer, OnnxSegmenter)]
seen, said = [], {}
gc.disable()
for i in range(n):
    name = list(kinds)[i % len(kinds)]
    try: blur(name, **kinds[name])
    except (BgblurError, RuntimeError) as e: said[name] = str(e)
    seen.append((*now(), *held()))
print(json.dumps([seen, said]))
'''


def test_many_clips_one_after_another(tmp_path, frames, soak):
    "Good and failing clips run in one process, without Python's collector. Each round uses as much as the second one."
    small = [cv2.resize(f, (160, 120)) for f in frames[:8]]
    good = write_clip(tmp_path/'good.mp4', small).read_bytes()
    (tmp_path/'cut.mp4').write_bytes(good[:len(good)//2])
    (tmp_path/'text.mp4').write_text('This is not a video.\n'*100)
    (tmp_path/'bad.onnx').write_text('This is not a model.\n')
    (tmp_path/'out.mkv').write_bytes(b'precious')
    write_clip(tmp_path/'good.mkv', small)
    whole = bytearray(write_clip(tmp_path/'damaged.mkv', small*4).read_bytes())
    whole[len(whole)//3:len(whole)//2] = np.random.default_rng(0).bytes(len(whole)//2 - len(whole)//3)
    (tmp_path/'damaged.mkv').write_bytes(whole)
    with av.open(str(tmp_path/'sound.mkv'), 'w') as out:
        track = out.add_stream('aac', rate=48000, layout='mono')
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format='fltp', layout='mono')
        sound.rate, sound.pts = 48000, 0
        out.mux(track.encode(sound))
        out.mux(track.encode())
    rounds, kinds = (16, 13) if soak else (3, 13)
    # otherwise glibc keeps memory for each new thread: 40 MB up and down
    seen, said = child(MANY, tmp_path, rounds*kinds, MALLOC_ARENA_MAX='1')
    assert {'cut.mp4', 'text.mp4', 'good.mkv', 'sound.mkv', 'background', 'function', 'bad model'} <= set(said)
    assert (tmp_path/'out.mkv').read_bytes() == b'precious' and not list(tmp_path.glob('.*'))
    memory, *counts = np.array(seen).T
    assert all(len(set(c[i::kinds][1:])) == 1 for c in counts for i in range(kinds)), counts
    # no frame, blurrer or session survives its clip
    assert not np.array(counts[2:]).any(), counts
    # free memory may be kept or returned, so compare peaks; a leak of 0.2 MB per clip would make 35
    if soak: assert memory[-3*kinds:].max() - memory[:3*kinds].max() < 20, memory


def test_blurrer_is_freed_immediately(frames):
    "A session takes 10 MB, so it must not wait for the next garbage collection."
    def raises(*args): raise RuntimeError('at work')
    gc.disable()
    try:
        for options in ({}, {'segmenter': raises}, {'matte': raises}, {'crop': False, 'skip': 0}):
            b = Blurrer(**options)
            b(frames[0])
            list(b.stream([(f, i/25) for i, f in enumerate(frames[:3])]))
            left = b.stream([(f, i/25) for i, f in enumerate(frames[:9])])
            next(left)
            gone = weakref.ref(b)
            del left, b
            assert gone() is None, options
    finally: gc.enable()


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_no_thread_remains_after_an_error(frames, error):
    "No thread remains even while a traceback exists: it would read from a closed file."
    before, failed = threading.active_count(), threading.Event()

    def fail(frame, alpha, bg):
        if error is RuntimeError: raise RuntimeError('at work')
        if not failed.is_set(): _thread.interrupt_main()     # once: the next frame may already be in progress
        failed.set()
        time.sleep(.2)
        return frame

    def slowly():
        for i, f in enumerate(frames):
            time.sleep(.05)
            yield f, i/25

    with pytest.raises(error) as e: list(Blurrer(background=fail).stream(slowly()))
    assert e.value.__traceback__ and threading.active_count() == before


def variants(frames, n):
    "Yield `n` clips of different sizes: crops and mirror images."
    for i in range(n):
        x, y = 10*(i % 3), 8*(i % 4)
        yield [np.ascontiguousarray(f[y:y+240, x:x+320 + 8*i][:, ::(-1)**i]) for f in frames[20*i:20*i + 6]]


@pytest.mark.parametrize('shared', [True, False], ids=['shared session', 'own sessions'])
def test_eight_in_parallel_equal_one_after_another(frames, soak, shared):
    clips, segmenter = list(variants(frames, 8)), load_segmenter() if shared else None

    def blurred(clip):
        return list(Blurrer(segmenter, Matte(people='main')).stream([(f, i/25) for i, f in enumerate(clip)]))

    alone = [blurred(c) for c in clips]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20 if soak else 1):
            for a, b in zip(alone, pool.map(blurred, clips)): assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_eight_files_in_parallel(tmp_path, frames, soak):
    "All results are in one folder, with default permissions."
    sources = [write_clip(tmp_path/f'{i}.mp4', c) for i, c in enumerate(variants(frames, 8))]
    before = os.umask(0o027)
    try:
        for k in range(10 if soak else 1):
            def blur(src, where): return blur_video(src, tmp_path/f'{where}-{src.name}', overwrite=True, progress=False)
            if not k: alone = [blur(s, 'alone') for s in sources]
            with ThreadPoolExecutor(8) as pool: reports = list(pool.map(lambda s: blur(s, 'parallel'), sources))
            assert [r.frames for r in reports] == [r.frames for r in alone] == [6]*8
            for a, b in zip(alone, reports):
                # not byte for byte: x264 with mbtree is not deterministic while other encoders run in the same process
                for x, y in zip(read_frames(a.path), read_frames(b.path), strict=True): assert cv2.absdiff(x, y).mean() < .5
                assert b.path.stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027
        assert len(list(tmp_path.iterdir())) == 24
    finally: os.umask(before)
