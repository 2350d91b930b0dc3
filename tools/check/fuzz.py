"""Generate frames and damage files for a given time, and report failures: python tools/check/fuzz.py [--seconds 300]

For half of the time, hypothesis generates arrays for tests/test_fuzz.py. For the other half, this script makes small
videos and images, damages them at random, and gives them to bgblur in another process, the *worker*. If bgblur blurs a
file, the result must be complete. If it refuses a file with one sentence, no result may remain. Anything else is a failure.
The script stores each failure in output/fuzz, and `--replay FILE` tries it again. After a failure, the exit code is 1.
"""
import argparse
import json
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from fractions import Fraction
from pathlib import Path
from time import monotonic, time, time_ns

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FOUND = ROOT/'output'/'fuzz'
TIMEOUT = 20       # seconds per file; an intact file takes a tenth of a second
MEMORY = 1.5e9     # bytes of RAM for a worker; intact files need a sixth of it
ADDRESSES = 8e9    # bytes of address space; threads and models reserve more than they use


# -- intact files --------------------------------------------------------------------------------------------------

def make_image(t, w=64, h=48):
    "Return an image of a bright disc that moves over stripes, with some noise."
    y, x = np.mgrid[:h, :w]
    img = np.where((np.hypot(x - w*(.3 + .03*t), y - h/2) < h/3)[..., None], (200, 210, 230), ((x//8 % 2)*90)[..., None])
    return (img + np.random.default_rng(t).integers(0, 20, img.shape)).clip(0, 255).astype(np.uint8)


# FFmpeg's subtitle encoders need this header
ASS = b'''[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, \
Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
'''


def clip(path, codec, pix_fmt='yuv420p', sound=None, words=None, format=None, n=10, size=(64, 48), **options):
    "Write a short clip, with a tone and subtitles if their codecs are given. Return `path`."
    import av
    with av.open(str(path), 'w', format=format) as out:
        v = out.add_stream(codec, rate=25, options=options)
        v.width, v.height, v.pix_fmt = *size, pix_fmt
        v.codec_context.gop_size = 4
        a = out.add_stream(sound, rate=48000, layout='mono') if sound else None
        s = out.add_stream(words) if words else None
        if s: s.codec_context.subtitle_header = ASS
        for t in range(n): out.mux(v.encode(av.VideoFrame.from_ndarray(make_image(t, *size), format='bgr24').reformat(format=pix_fmt)))
        out.mux(v.encode())
        if a:
            tone = (np.sin(np.arange(48000*n//25)/20)[None]*2**14).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(tone, format='s16', layout='mono')
            frame.rate, frame.pts = 48000, 0
            out.mux(a.encode(frame))
            out.mux(a.encode())
        if s:
            for i in range(2):
                text = f'line {i}'.encode()
                p = av.Packet(len(text).to_bytes(2, 'big') + text if words == 'mov_text' else text)
                p.stream, p.pts, p.dts, p.duration, p.time_base = s, 150*i, 150*i, 150, Fraction(1, 1000)
                out.mux(p)
    return path


UPRIGHT, ROTATED = (b''.join((n % 2**32).to_bytes(4, 'big') for n in m) for m in (
    (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)))


def rotated(path, upright):
    "Write a rotated copy of the clip `upright`, as an upright phone records it. Return `path`."
    data = upright.read_bytes()
    at = data.index(UPRIGHT, data.index(b'tkhd'))
    path.write_bytes(data[:at] + ROTATED + data[at + 36:])
    return path


def make_clips(folder):
    "Write one clip of each common kind. Return their paths."
    vp9 = dict(deadline='realtime', **{'cpu-used': '8'})
    return [
        clip(folder/'phone.mp4', 'libx264', sound='aac', words='mov_text', size=(66, 50)),
        rotated(folder/'upright.mp4', folder/'phone.mp4'),
        clip(folder/'apple.mov', 'libx264', 'yuv422p10le', sound='pcm_s16le'),
        clip(folder/'fragments.mp4', 'libx264', sound='aac', format='ismv'),
        clip(folder/'screen.mkv', 'libx264', 'yuv444p', sound='libopus', words='srt', size=(63, 47)),
        clip(folder/'flac.mkv', 'libvpx-vp9', sound='flac', **vp9),
        clip(folder/'meeting.webm', 'libvpx-vp9', sound='libopus', words='webvtt', **vp9),
        clip(folder/'old.avi', 'mpeg4', sound='libmp3lame'),
        clip(folder/'camera.avi', 'mjpeg', 'yuvj422p', sound='pcm_s16le'),
        clip(folder/'tape.ts', 'libx264', sound='aac', format='mpegts'),
        clip(folder/'disc.mpg', 'mpeg2video', sound='mp2', format='mpeg'),
        clip(folder/'small.3gp', 'mpeg4', sound='aac'),
        clip(folder/'stream.h264', 'libx264', format='h264'),
        clip(folder/'new.mp4', 'libx265', 'yuv420p10le', **{'x265-params': 'log-level=none'}),
        clip(folder/'loop.gif', 'gif', 'rgb8'),
        clip(folder/'one.flv', 'libx264', sound='aac', format='flv', n=1),
    ]


def make_images(folder):
    "Write one image of each common kind. Return their paths."
    made = [folder/f'photo{kind}' for kind in ('.png', '.jpg', '.webp', '.bmp', '.tif', '.gif', '.avif')]
    for path in made: path.write_bytes(cv2.imencode(path.suffix, make_image(0))[1])
    grey, alpha = folder/'grey.png', folder/'alpha.png'
    cv2.imwrite(str(grey), make_image(0)[..., 0].astype(np.uint16)*257)
    cv2.imwrite(str(alpha), cv2.cvtColor(make_image(0), cv2.COLOR_BGR2BGRA))
    return [*made, grey, alpha, *make_rich_images(folder)]


def make_rich_images(folder):
    "Write images with a profile, EXIF, density, XMP, a palette, alpha, or several frames. Return their paths."
    from bgblur.io.colour import PRIMARIES, rgb_profile
    icc, exif, img = rgb_profile(PRIMARIES[12]), Image.Exif(), Image.fromarray(make_image(0))
    exif.update({0x010F: 'Acme', 0x0110: 'Phone 1', 0x0112: 6, 0x8298: 'Jo'})
    exif.get_ifd(0x8769).update({0x9003: '2026:05:01 12:00:00', 0x829A: .02, 0x927C: bytes(40)})
    exif.get_ifd(0x8825).update({1: 'N', 2: (48., 8., 6.)})
    facts = dict(exif=exif, icc_profile=icc, dpi=(300, 150))
    half = img.convert('RGBA')
    half.putalpha(Image.linear_gradient('L').resize(img.size))
    kinds = {'a.jpg': (img, facts | {'xmp': b'<x:xmpmeta/>'}), 'a.png': (half, facts), 'a.webp': (half, facts), 'a.avif': (half, facts),
             'a.tif': (half, facts), 'lzw.tif': (half, {'compression': 'tiff_lzw'}), 'cmyk.jpg': (img.convert('CMYK'), {}),
             'palette.png': (half.quantize(16), {}), 'grey.png': (half.convert('LA'), {})}
    several = {'save_all': True, 'append_images': [half, img.convert('RGBA')]}
    for kind in ('gif', 'png', 'webp', 'avif'): kinds[f'several.{kind}'] = (half, several | {'duration': 100})
    kinds |= {'several.tif': (half, several), 'several.jpg': (img, {'save_all': True, 'append_images': [img], 'format': 'MPO'})}
    for name, (made, options) in kinds.items(): made.save(folder/name, **options)
    return [folder/name for name in kinds]


# -- damage --------------------------------------------------------------------------------------------------------

NUMBERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 2**63 - 1, 2**63, 2**64 - 1]


def random_position(data, rng):
    "Return a random position in `data`, often near a four-letter word, as in headers, or near one of the ends."
    kind = rng.integers(4)
    if kind == 0 and (words := [m.start() for m in re.finditer(rb'[A-Za-z ]{4}', bytes(data))]):
        return max(0, words[rng.integers(len(words))] + int(rng.integers(-4, 40)))
    if kind == 1: return int(rng.integers(min(len(data), 256) + 1))
    if kind == 2: return len(data) - int(rng.integers(min(len(data), 1024) + 1))
    return int(rng.integers(len(data) + 1))


def random_slice(data, rng):
    "Return a slice at a random position, of 1 to 1024 bytes."
    at = random_position(data, rng)
    return slice(at, at + int(2**rng.uniform(0, 10)))


# each of these functions damages `data`, a bytearray, in place

def flip(data, rng):
    for _ in range(rng.integers(1, 9)):
        at = random_position(data, rng)
        if at < len(data): data[at] ^= 1 << int(rng.integers(8))


def set_number(data, rng):
    at, size = random_position(data, rng), int(rng.choice([1, 2, 3, 4, 8]))
    n = NUMBERS[rng.integers(len(NUMBERS))] if rng.random() < .7 else int(rng.integers(2**63))
    data[at:at+size] = (n % 256**size).to_bytes(size, rng.choice(['big', 'little']))


def add(data, rng):
    at = random_position(data, rng)
    data[at:at] = rng.bytes(int(2**rng.uniform(0, 10))) if rng.random() < .5 else bytes(int(2**rng.uniform(0, 12)))


def cut_off(data, rng): del data[random_position(data, rng):]
def cut_out(data, rng): del data[random_slice(data, rng)]

def noise(data, rng):
    where = random_slice(data, rng)
    data[where] = rng.bytes(len(data[where]))


def repeat(data, rng):
    part, at = data[random_slice(data, rng)], random_position(data, rng)
    data[at:at] = part*int(rng.integers(1, 4))


def swap(data, rng):
    a, b, c = sorted(random_position(data, rng) for _ in range(3))
    data[a:c] = data[b:c] + data[a:b]


DAMAGES = flip, set_number, set_number, set_number, add, cut_off, cut_out, noise, repeat, swap


def damaged(data, other, rng):
    "Return a copy of `data` with random damage. `other` is the content of another file."
    data = bytearray(data)
    # one file in twenty continues with another file
    if rng.random() < .05: data[random_position(data, rng):] = other[random_position(other, rng):] if rng.random() < .5 else other
    for _ in range(rng.geometric(.4)): DAMAGES[rng.integers(len(DAMAGES))](data, rng)
    return bytes(data)


# -- the worker: use each file ---------------------------------------------------------------------------------------

class BrokenPromise(Exception):
    "Describe what bgblur did and should not do."


def bright(frame): return (frame[..., 1] > 150).astype(np.float32)
def no_person(frame): return np.zeros(frame.shape[:2], np.float32)


def load_models():
    "Return the models for the tests by name."
    from bgblur.predict import load_segmenter
    return {'bright': bright, 'no_person': no_person, 'person': load_segmenter(threads=1)}


def check_frame_count(path, n):
    "Check that a clip contains `n` frames."
    import av
    with av.open(str(path)) as c: there = sum(1 for _ in c.decode(video=0))
    if there != n: raise BrokenPromise(f'the report counts {n} frames, the file contains {there}')


def blur_a_video(src, folder, net, clip, transparent=False):
    from bgblur.pipeline import Blurrer
    from bgblur.video import blur_video
    dst = folder/{False: ('out.mp4', 'out.mkv', 'out.mov'), True: ('out.webm', 'out.mov', 'out')}[transparent][src.stat().st_size % 3]
    report = blur_video(src, dst, Blurrer(net), stills=3, progress=False, transparent=transparent)
    if dst.suffix: check_frame_count(dst, report.frames)
    elif len(list(dst.iterdir())) != report.frames: raise BrokenPromise(f'the report counts {report.frames} frames, the folder contains {len(list(dst.iterdir()))}')
    return dst, dst.with_name('out-stills')


def cutout_from_video(*args): return blur_a_video(*args, transparent=True)


def use_as_background(src, folder, net, clip):
    from bgblur.pipeline import Blurrer
    from bgblur.background import background_from
    from bgblur.video import blur_video
    dst = folder/'out.mp4'
    check_frame_count(dst, blur_video(clip, dst, Blurrer(net, background=background_from(str(src))), progress=False).frames)
    return dst,


def open_for_explorer(src, folder, net, clip):
    from bgblur.ui.window import Clip
    for img in Clip(src).window().frames:
        if img.dtype != np.uint8 or img.ndim != 3 or not img.size: raise BrokenPromise(f'a frame of {img.dtype} {img.shape}')
    return ()


def play_as_camera(src, folder, net, clip):
    from bgblur.camera.sources import FileSource
    source = FileSource(src, rate=1000, loop=False)
    try:
        while item := source.read():
            if item[0].shape[1::-1] != source.size: raise BrokenPromise(f'a frame of {item[0].shape} instead of {source.size}')
    finally: source.close()
    return ()


def blur_an_image(src, folder, net, clip, transparent=False):
    from bgblur.pipeline import Blurrer
    from bgblur.video import blur_image
    dst = folder/'out.png'
    blur_image(src, dst, Blurrer(net), transparent=transparent)
    if cv2.imread(str(dst), cv2.IMREAD_UNCHANGED) is None: raise BrokenPromise('the result is not an image')
    return dst,


def cutout_from_image(*args): return blur_an_image(*args, transparent=True)


USES = {f.__name__: f for f in (blur_a_video, cutout_from_video, use_as_background, open_for_explorer, play_as_camera, blur_an_image, cutout_from_image)}
USES_OF_CLIPS = ['blur_a_video']*5 + ['cutout_from_video', 'use_as_background', 'open_for_explorer', 'play_as_camera']
USES_OF_IMAGES = ['blur_an_image']*2 + ['cutout_from_image', 'use_as_background', 'open_for_explorer']


def try_one(job, nets):
    "Use one file. Return what happened: 'done' and 'refused' keep the promises, 'failed' doesn't."
    from bgblur.core.errors import BgblurError
    src, clip = Path(job['src']), Path(job['clip'])
    folder, before = src.parent, src.read_bytes()
    try:
        try: kind, said, made = 'done', '', USES[job['use']](src, folder, nets[job['net']], clip)
        except BgblurError as e:
            kind, said, made = 'refused', str(e), ()
            if not said.endswith('.') or '\n' in said: raise BrokenPromise(f'{said!r} is not a sentence') from e
        left = set(folder.iterdir()) - {src, *made}
        if left: raise BrokenPromise(f'{sorted(p.name for p in left)} remained after {kind} {said!r}')
        if src.read_bytes() != before: raise BrokenPromise('the source was changed')
    except Exception: kind, said = 'failed', traceback.format_exc()
    return {'kind': kind, 'said': said, 'memory': 1024*resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def work():
    "Read jobs from standard input, one per line, and print what happened to each."
    resource.setrlimit(resource.RLIMIT_AS, (int(ADDRESSES),)*2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    known = load_models()
    for line in sys.stdin: print(json.dumps(try_one(json.loads(line), known)), flush=True)


# -- the main process: damage files ----------------------------------------------------------------------------------

class Worker:
    "Run the worker process, and start a new one after a crash."
    def __init__(self): self.process = None

    def start(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([sys.executable, '-X', 'faulthandler', __file__, '--work'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, env={**os.environ, 'AV_LOG_FORCE_NOCOLOR': '1', 'OPENCV_LOG_LEVEL': 'SILENT'})

    def stop(self):
        if not self.process: return
        self.process.kill()
        self.process.communicate()
        self.process = None

    def __enter__(self): return self
    def __exit__(self, *args): self.stop()

    def _log_end(self):
        self.log.seek(0)
        return self.log.read()[-3000:].decode(errors='replace')

    def __call__(self, job):
        if not self.process: self.start()
        self.process.stdin.write(f'{json.dumps(job)}\n'.encode())
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], TIMEOUT)[0]:
            self.stop()
            return {'kind': 'hung', 'said': f'no result within {TIMEOUT} s'}
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.process = None
            return {'kind': 'died', 'said': f'the worker ended with {code}\n{self._log_end()}'}
        result = json.loads(line)
        if result['memory'] > MEMORY:
            self.stop()
            return {'kind': 'took too much memory', 'said': f"{result['memory']/1e6:.0f} MB; it was {result['kind']}: {result['said']}"}
        return result


def signature(result):
    "Return a key that is equal for failures with the same cause: the kind, the error and its place."
    lines = result['said'].strip().split('\n')
    at = [line for line in lines if line.startswith('  File ') and '/bgblur/' in line] or ['']
    return result['kind'], re.sub(r'-\w{8}\b|\d+', '0', lines[-1])[:60], re.sub(r', in .*', '', at[-1])


def store(name, data, job, result):
    "Store a failure in output/fuzz, with all that `replay` needs. Return its path."
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND/name
    path.write_bytes(data)
    path.with_name(f'{name}.json').write_text(json.dumps({'use': job['use'], 'net': job['net'], **result}, indent=1))
    return path


def try_files(seconds, most, seed):
    "Damage files and try them. Return the number of different failures."
    rng, end, counts, seen = np.random.default_rng(seed), monotonic() + seconds, Counter(), Counter()
    with tempfile.TemporaryDirectory(prefix='bgblur-fuzz-') as tmp, Worker() as worker:
        tmp = Path(tmp)
        (tmp/'whole').mkdir()
        whole = [(p, p.read_bytes(), uses) for made, uses in ((make_clips, USES_OF_CLIPS), (make_images, USES_OF_IMAGES)) for p in made(tmp/'whole')]
        first = whole[0][0]
        n = 0
        while monotonic() < end and n < most:
            # start with each file intact
            path, data, uses = whole[n] if n < len(whole) else whole[rng.integers(len(whole))]
            use, bad = uses[rng.integers(len(uses))], data if n < len(whole) else damaged(data, whole[rng.integers(len(whole))][1], rng)
            n += 1
            folder = tmp/'try'
            folder.mkdir()
            src = folder/path.name
            src.write_bytes(bad)
            job = {'src': str(src), 'clip': str(first), 'use': use, 'net': rng.choice(['bright', 'no_person', 'person'], p=[.5, .4, .1])}
            result = worker(job)
            shutil.rmtree(folder)
            counts[result['kind']] += 1
            if bad is data and result['kind'] == 'refused': result['kind'] = 'refused although intact'
            if result['kind'] in ('done', 'refused'): continue
            seen[signature(result)] += 1
            if seen[signature(result)] > 3: continue
            stored = store(f'{path.stem}-{seed}-{n}{path.suffix}', bad, job, result)
            print(f"FOUND {use} {result['kind']}: {result['said'].strip()}\n  try again: make fuzz ARGS='--replay {stored.relative_to(ROOT)}'\n", flush=True)
    print(f'files: {n} tried (seed {seed}): {", ".join(f"{k} {kind}" for kind, k in counts.most_common())}; '
          f'{sum(seen.values())} findings of {len(seen)} kinds', flush=True)
    return len(seen)


def replay(path):
    "Try one file again in the same way, or in every way if its note is missing. Return the number of failures."
    note = path.with_name(f'{path.name}.json')
    uses = [json.loads(note.read_text())] if note.exists() else [{'use': use, 'net': 'bright'} for use in USES]
    with tempfile.TemporaryDirectory(prefix='bgblur-fuzz-') as tmp, Worker() as worker:
        tmp, bad = Path(tmp), 0
        first = clip(tmp/'whole.mp4', 'libx264', sound='aac')
        for job in uses:
            folder = tmp/job['use']
            folder.mkdir()
            shutil.copy(path, folder)
            result = worker({'src': str(folder/path.name), 'clip': str(first), 'use': job['use'], 'net': job['net']})
            print(f"{job['use']}, model {job['net']!r}: {result['kind']} {result['said'].strip()}")
            bad += result['kind'] not in ('done', 'refused')
    return bad


def try_arrays(seconds, seed):
    "Run tests/test_fuzz.py with new examples until the time is up or a test fails. Return whether one failed."
    end, rounds, code = time() + seconds, 0, 0
    while time() < end and not code:
        command = [sys.executable, '-m', 'pytest', ROOT/'tests'/'test_fuzz.py', '-q', '--tb=short', '-p', 'no:cacheprovider',
                   '-k', 'not files', f'--hypothesis-seed={seed + rounds}']
        # 20 examples of each property
        env = {**os.environ, 'FUZZ_EXAMPLES': '20', 'FUZZ_UNTIL': str(end)}
        result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        rounds, code = rounds + 1, result.returncode
    if code: print(result.stdout, result.stderr, 'The next run starts with these examples, stored in output/fuzz/examples.', sep='\n')
    print(f'arrays: {rounds} rounds (seed {seed}), last round: {result.stdout.strip().splitlines()[-1]}', flush=True)
    return bool(code)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seconds', type=float, default=300, help='Run for N seconds, half of them for arrays. [default: 300]')
    p.add_argument('--only', choices=['arrays', 'files'], help='Run one half only.')
    p.add_argument('--files', type=int, default=10**9, help='Stop after N files.')
    p.add_argument('--seed', type=int, default=time_ns() % 10**6, help='Repeat the inputs of the run with this seed.')
    p.add_argument('--replay', type=Path, help='Try this file from output/fuzz again.')
    p.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.work: return work()
    if args.replay and not args.replay.is_file(): p.error(f'there is no file {args.replay}')
    if args.replay: return replay(args.replay)
    found = 0
    seconds = args.seconds if args.only else args.seconds/2
    if args.only != 'files': found += try_arrays(seconds, args.seed)
    if args.only != 'arrays': found += try_files(seconds, args.files, args.seed)
    return found


if __name__ == '__main__': sys.exit(min(1, main() or 0))
