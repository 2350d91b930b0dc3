"""Make up frames and damage files until the time is over, and say what breaks: python tools/fuzz.py [--seconds 300]

For one half of the time hypothesis makes up arrays for tests/test_fuzz.py. For the other half small videos and
pictures, made on the spot, are damaged at random and given to bgblur in another process, a *worker*. It may blur them,
and then the result is whole, or refuse them in one sentence, and then nothing is left. What else happens is a finding: it
is kept in output/fuzz, and `--replay FILE` tries it again. The exit code is 1 if there is one.
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

ROOT = Path(__file__).parent.parent
FOUND = ROOT/'output'/'fuzz'
PATIENCE = 20      # seconds for one file that takes a tenth of one when it is whole
MEMORY = 1.5e9     # bytes that a worker may have in RAM; it has a sixth of that after whole files
ADDRESSES = 8e9    # bytes that it may ask for; threads and nets reserve more than they use


# -- whole files ---------------------------------------------------------------------------------------------------

def picture(t, w=64, h=48):
    "A bright disc that moves over stripes, with some noise"
    y, x = np.mgrid[:h, :w]
    img = np.where((np.hypot(x - w*(.3 + .03*t), y - h/2) < h/3)[..., None], (200, 210, 230), ((x//8 % 2)*90)[..., None])
    return (img + np.random.default_rng(t).integers(0, 20, img.shape)).clip(0, 255).astype(np.uint8)


# what FFmpeg's encoders of subtitles ask for
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
    "A short clip, with a tone and with subtitles"
    import av
    with av.open(str(path), 'w', format=format) as out:
        v = out.add_stream(codec, rate=25, options=options)
        v.width, v.height, v.pix_fmt = *size, pix_fmt
        v.codec_context.gop_size = 4
        a = out.add_stream(sound, rate=48000, layout='mono') if sound else None
        s = out.add_stream(words) if words else None
        if s: s.codec_context.subtitle_header = ASS
        for t in range(n): out.mux(v.encode(av.VideoFrame.from_ndarray(picture(t, *size), format='bgr24').reformat(format=pix_fmt)))
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


UPRIGHT, TURNED = (b''.join((n % 2**32).to_bytes(4, 'big') for n in m) for m in (
    (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)))


def turned(path, upright):
    "As a phone held upright writes it"
    data = upright.read_bytes()
    at = data.index(UPRIGHT, data.index(b'tkhd'))
    path.write_bytes(data[:at] + TURNED + data[at + 36:])
    return path


def clips(folder):
    "One of each kind that people have"
    vp9 = dict(deadline='realtime', **{'cpu-used': '8'})
    return [
        clip(folder/'phone.mp4', 'libx264', sound='aac', words='mov_text', size=(66, 50)),
        turned(folder/'upright.mp4', folder/'phone.mp4'),
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


def pictures(folder):
    made = [folder/f'photo{kind}' for kind in ('.png', '.jpg', '.webp', '.bmp', '.tif', '.gif', '.avif')]
    for path in made: path.write_bytes(cv2.imencode(path.suffix, picture(0))[1])
    grey, alpha = folder/'grey.png', folder/'alpha.png'
    cv2.imwrite(str(grey), picture(0)[..., 0].astype(np.uint16)*257)
    cv2.imwrite(str(alpha), cv2.cvtColor(picture(0), cv2.COLOR_BGR2BGRA))
    return [*made, grey, alpha]


# -- damage --------------------------------------------------------------------------------------------------------

NUMBERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 2**63 - 1, 2**63, 2**64 - 1]


def somewhere(data, rng):
    "A place in `data`: most often in or behind a word of four letters, as headers have them, or near one of the ends"
    kind = rng.integers(4)
    if kind == 0 and (words := [m.start() for m in re.finditer(rb'[A-Za-z ]{4}', bytes(data))]):
        return max(0, words[rng.integers(len(words))] + int(rng.integers(-4, 40)))
    if kind == 1: return int(rng.integers(min(len(data), 256) + 1))
    if kind == 2: return len(data) - int(rng.integers(min(len(data), 1024) + 1))
    return int(rng.integers(len(data) + 1))


def piece(data, rng):
    at = somewhere(data, rng)
    return slice(at, at + int(2**rng.uniform(0, 10)))


def flip(data, rng):
    for _ in range(rng.integers(1, 9)):
        at = somewhere(data, rng)
        if at < len(data): data[at] ^= 1 << int(rng.integers(8))


def number(data, rng):
    at, size = somewhere(data, rng), int(rng.choice([1, 2, 3, 4, 8]))
    n = NUMBERS[rng.integers(len(NUMBERS))] if rng.random() < .7 else int(rng.integers(2**63))
    data[at:at+size] = (n % 256**size).to_bytes(size, rng.choice(['big', 'little']))


def add(data, rng):
    at = somewhere(data, rng)
    data[at:at] = rng.bytes(int(2**rng.uniform(0, 10))) if rng.random() < .5 else bytes(int(2**rng.uniform(0, 12)))


def cut_off(data, rng): del data[somewhere(data, rng):]
def cutout(data, rng): del data[piece(data, rng)]

def noise(data, rng):
    where = piece(data, rng)
    data[where] = rng.bytes(len(data[where]))


def repeat(data, rng):
    part, at = data[piece(data, rng)], somewhere(data, rng)
    data[at:at] = part*int(rng.integers(1, 4))


def swap(data, rng):
    a, b, c = sorted(somewhere(data, rng) for _ in range(3))
    data[a:c] = data[b:c] + data[a:b]


DAMAGES = flip, number, number, number, add, cut_off, cutout, noise, repeat, swap


def damaged(data, other, rng):
    data = bytearray(data)
    # one tape in twenty goes on with another one
    if rng.random() < .05: data[somewhere(data, rng):] = other[somewhere(other, rng):] if rng.random() < .5 else other
    for _ in range(rng.geometric(.4)): DAMAGES[rng.integers(len(DAMAGES))](data, rng)
    return bytes(data)


# -- what is done with a file: this part runs in the worker ---------------------------------------------------------

class Wrong(Exception):
    "A promise that was not kept"


def bright(frame): return (frame[..., 1] > 150).astype(np.float32)
def nobody(frame): return np.zeros(frame.shape[:2], np.float32)


def nets():
    from bgblur.predict import load_segmenter
    return {'bright': bright, 'nobody': nobody, 'person': load_segmenter(threads=1)}


def whole_video(path, n):
    import av
    with av.open(str(path)) as c: there = sum(1 for _ in c.decode(video=0))
    if there != n: raise Wrong(f'{n} frames were reported, {there} are there')


def blur_a_video(src, folder, net, clip, transparent=False):
    from bgblur.pipeline import Blurrer
    from bgblur.video import blur_video
    dst = folder/{False: ('out.mp4', 'out.mkv', 'out.mov'), True: ('out.webm', 'out.mov', 'out')}[transparent][src.stat().st_size % 3]
    report = blur_video(src, dst, Blurrer(net), stills=3, progress=False, transparent=transparent)
    if dst.suffix: whole_video(dst, report.frames)
    elif len(list(dst.iterdir())) != report.frames: raise Wrong(f'{report.frames} frames were reported, {len(list(dst.iterdir()))} are there')
    return dst, dst.with_name('out-stills')


def cut_a_video_out(*args): return blur_a_video(*args, transparent=True)


def use_as_background(src, folder, net, clip):
    from bgblur.pipeline import Blurrer
    from bgblur.video import blur_video, background_from
    dst = folder/'out.mp4'
    whole_video(dst, blur_video(clip, dst, Blurrer(net, background=background_from(str(src))), progress=False).frames)
    return dst,


def look_at_frames(src, folder, net, clip):
    from bgblur.explore import open_frames
    for img in open_frames(src):
        if img.dtype != np.uint8 or img.ndim != 3 or not img.size: raise Wrong(f'a frame of {img.dtype} {img.shape}')
    return ()


def play_as_camera(src, folder, net, clip):
    from bgblur.camera.sources import FileSource
    source = FileSource(src, rate=1000, loop=False)
    try:
        while item := source.read():
            if item[0].shape[1::-1] != source.size: raise Wrong(f'a frame of {item[0].shape} instead of {source.size}')
    finally: source.close()
    return ()


def blur_a_picture(src, folder, net, clip, transparent=False):
    from bgblur.pipeline import Blurrer
    from bgblur.video import blur_image
    dst = folder/'out.png'
    blur_image(src, dst, Blurrer(net), transparent=transparent)
    if cv2.imread(str(dst), cv2.IMREAD_UNCHANGED) is None: raise Wrong('the result is no picture')
    return dst,


def cut_a_picture_out(*args): return blur_a_picture(*args, transparent=True)


USES = {f.__name__: f for f in (blur_a_video, cut_a_video_out, use_as_background, look_at_frames, play_as_camera, blur_a_picture, cut_a_picture_out)}
OF_VIDEOS = ['blur_a_video']*5 + ['cut_a_video_out', 'use_as_background', 'look_at_frames', 'play_as_camera']
OF_PICTURES = ['blur_a_picture']*2 + ['cut_a_picture_out', 'use_as_background', 'look_at_frames']


def try_one(job, nets):
    "What became of a file: 'done' or 'refused' are as they should be"
    from bgblur.predict import BgblurError
    src, clip = Path(job['src']), Path(job['clip'])
    folder, before = src.parent, src.read_bytes()
    try:
        try: kind, said, made = 'done', '', USES[job['use']](src, folder, nets[job['net']], clip)
        except BgblurError as e:
            kind, said, made = 'refused', str(e), ()
            if not said.endswith('.') or '\n' in said: raise Wrong(f'{said!r} is no sentence') from e
        left = set(folder.iterdir()) - {src, *made}
        if left: raise Wrong(f'{sorted(p.name for p in left)} were left after {kind} {said!r}')
        if src.read_bytes() != before: raise Wrong('the source was changed')
    except Exception: kind, said = 'failed', traceback.format_exc()
    return {'kind': kind, 'said': said, 'memory': 1024*resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def work():
    "Files from the standard input, one after the other"
    resource.setrlimit(resource.RLIMIT_AS, (int(ADDRESSES),)*2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    known = nets()
    for line in sys.stdin: print(json.dumps(try_one(json.loads(line), known)), flush=True)


# -- from here on it is the process that damages them ---------------------------------------------------------------

class Worker:
    "A process that tries files. It is made anew after one that it did not survive."
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

    def _last_words(self):
        self.log.seek(0)
        return self.log.read()[-3000:].decode(errors='replace')

    def __call__(self, job):
        if not self.process: self.start()
        self.process.stdin.write(f'{json.dumps(job)}\n'.encode())
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.stop()
            return {'kind': 'hung', 'said': f'no answer within {PATIENCE} s'}
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.process = None
            return {'kind': 'died', 'said': f'the worker ended with {code}\n{self._last_words()}'}
        result = json.loads(line)
        if result['memory'] > MEMORY:
            self.stop()
            return {'kind': 'took too much memory', 'said': f"{result['memory']/1e6:.0f} MB; it was {result['kind']}: {result['said']}"}
        return result


def signature(result):
    "The same for what has the same cause: where it was raised, and what"
    lines = result['said'].strip().split('\n')
    at = [line for line in lines if line.startswith('  File ') and '/bgblur/' in line] or ['']
    return result['kind'], re.sub(r'-\w{8}\b|\d+', '0', lines[-1])[:60], re.sub(r', in .*', '', at[-1])


def hold_weight(name, data, job, result):
    "Into output/fuzz, with what is needed to try it again"
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND/name
    path.write_bytes(data)
    path.with_name(f'{name}.json').write_text(json.dumps({'use': job['use'], 'net': job['net'], **result}, indent=1))
    return path


def try_files(seconds, most, seed):
    "Damage files and try them. Returns how many findings there are."
    rng, end, counts, seen = np.random.default_rng(seed), monotonic() + seconds, Counter(), Counter()
    with tempfile.TemporaryDirectory(prefix='bgblur-fuzz-') as tmp, Worker() as worker:
        tmp = Path(tmp)
        (tmp/'whole').mkdir()
        whole = [(p, p.read_bytes(), uses) for made, uses in ((clips, OF_VIDEOS), (pictures, OF_PICTURES)) for p in made(tmp/'whole')]
        first = whole[0][0]
        n = 0
        while monotonic() < end and n < most:
            # each comes once as it is
            path, data, uses = whole[n] if n < len(whole) else whole[rng.integers(len(whole))]
            use, bad = uses[rng.integers(len(uses))], data if n < len(whole) else damaged(data, whole[rng.integers(len(whole))][1], rng)
            n += 1
            folder = tmp/'try'
            folder.mkdir()
            src = folder/path.name
            src.write_bytes(bad)
            job = {'src': str(src), 'clip': str(first), 'use': use, 'net': rng.choice(['bright', 'nobody', 'person'], p=[.5, .4, .1])}
            result = worker(job)
            shutil.rmtree(folder)
            counts[result['kind']] += 1
            if bad is data and result['kind'] == 'refused': result['kind'] = 'refused though whole'
            if result['kind'] in ('done', 'refused'): continue
            seen[signature(result)] += 1
            if seen[signature(result)] > 3: continue
            kept = hold_weight(f'{path.stem}-{seed}-{n}{path.suffix}', bad, job, result)
            print(f"FOUND {use} {result['kind']}: {result['said'].strip()}\n  try it again: make fuzz ARGS='--replay {kept.relative_to(ROOT)}'\n", flush=True)
    print(f'files: {n} tried (seed {seed}): {", ".join(f"{k} {kind}" for kind, k in counts.most_common())}; '
          f'{sum(seen.values())} findings of {len(seen)} kinds', flush=True)
    return len(seen)


def replay(path):
    "Try one file once more, as it was tried, or in every way there is"
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
            print(f"{job['use']}, net {job['net']!r}: {result['kind']} {result['said'].strip()}")
            bad += result['kind'] not in ('done', 'refused')
    return bad


def make_up_arrays(seconds, seed):
    "Rounds of tests/test_fuzz.py, each with other examples; one that finds something is the last. Returns whether there was one."
    end, rounds, code = time() + seconds, 0, 0
    while time() < end and not code:
        command = [sys.executable, '-m', 'pytest', ROOT/'tests'/'test_fuzz.py', '-q', '--tb=short', '-p', 'no:cacheprovider',
                   '-k', 'not files', f'--hypothesis-seed={seed + rounds}']
        # so many examples of each property
        env = {**os.environ, 'FUZZ_EXAMPLES': '20', 'FUZZ_UNTIL': str(end)}
        result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        rounds, code = rounds + 1, result.returncode
    if code: print(result.stdout, result.stderr, 'The next run begins with these examples: they are kept in output/fuzz/examples.', sep='\n')
    print(f'arrays: {rounds} rounds (seed {seed}), the last one: {result.stdout.strip().splitlines()[-1]}', flush=True)
    return bool(code)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seconds', type=float, default=300, help='how long, arrays and files together')
    p.add_argument('--only', choices=['arrays', 'files'], help='one of the two')
    p.add_argument('--files', type=int, default=10**9, help='end after so many files')
    p.add_argument('--seed', type=int, default=time_ns() % 10**6, help='the same inputs again')
    p.add_argument('--replay', type=Path, help='a file to try again')
    p.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.work: return work()
    if args.replay: return replay(args.replay)
    found = 0
    seconds = args.seconds if args.only else args.seconds/2
    if args.only != 'files': found += make_up_arrays(seconds, args.seed)
    if args.only != 'arrays': found += try_files(seconds, args.files, args.seed)
    return found


if __name__ == '__main__': sys.exit(min(1, main() or 0))
