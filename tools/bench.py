"""Measure how fast bgblur is, and how fast others are: `make bench`, or

    python tools/bench.py [--only sizes,steps,start,memory,live] [--sizes 640x360,...] [--rounds 3] [--frames 250] ...

sizes: the tutorial's loop, MediaPipe's usual script, bgblur, and decode + encode alone, in turns, file to file.
steps: each step from the tutorial's loop to bgblur, in turns (nbs/07_speed.ipynb explains them).
start: how long `bgblur --help` takes, and `bgblur video` until its first frame is written.
memory: what bgblur holds after 500 and after 10,000 frames.
live: three minutes of a live picture at 1280x720. These two take minutes, so only with --long, or if asked for.

Prints tables in Markdown and writes what it measured to nbs/bench.json, where the notebooks and README.md have their numbers
from: `make readme` brings them up to date. Parts that were not measured again stay as they were.
"""
import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from bgblur.speed import COMMAND, WAYS, alternate, measure, speed_table, stage_table, start_table, table, take
from bgblur.frames import to_bgr
from bgblur.video import VideoReader

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT/'sample_data'/'testclip.mp4'
JSON = ROOT/'nbs'/'bench.json'
MEDIAPIPE = ROOT/'.venv-mediapipe'
SECONDS = 10    # length of the sample clip
PARTS = ('sizes', 'steps', 'start', 'memory', 'live')
RIVALS = ('tutorial', 'mediapipe', 'bgblur', 'floor', 'floor of the result')
# how many frames the slow ways get; the others get --frames
FEW = {'tutorial': 8, 'small net': 50, 'no predict': 100, 'parts': 8}


def noisy(frame, noise, rng):
    "`frame` with a part of the picture `noise` added to its brightness"
    planes = frame.to_ndarray()
    y, x = rng.integers(0, 64, 2)
    h, w = frame.height, frame.width
    planes[:h] = cv2.add(planes[:h], noise[y:y+h, x:x+w], dtype=cv2.CV_8U)
    return av.VideoFrame.from_ndarray(planes, format='yuv420p')


def enlarged(args, w, h):
    "The sample clip cut to 16:9 and enlarged, on request with the noise that enlarging took away. It is made once. Returns its path."
    path, rng = args.clips/f'{w}x{h}-noise-{args.noise:g}.mp4', np.random.default_rng(0)
    if path.exists(): return path
    args.clips.mkdir(parents=True, exist_ok=True)
    noise = np.int8(np.clip(rng.normal(0, args.noise, (h + 64, w + 64)), -100, 100))
    tmp = args.clips/f'making-{path.name}'
    with VideoReader(SAMPLE) as reader, av.open(str(tmp), 'w') as out:
        stream = out.add_stream('libx264', rate=25, options={'crf': '18', 'preset': 'veryfast'})
        stream.width, stream.height, stream.pix_fmt = w, h, 'yuv420p'
        for f in tqdm(reader, total=250, desc=path.name, leave=False):
            img = cv2.resize(to_bgr(f)[38:263], (w, h), interpolation=cv2.INTER_CUBIC)
            out.mux(stream.encode(noisy(av.VideoFrame.from_ndarray(img, format='bgr24').reformat(format='yuv420p'), noise, rng)))
        out.mux(stream.encode())
    return tmp.rename(path)


def beginning(clip, n):
    path = clip.with_name(f'{clip.stem}-{n}.mp4')
    return path if path.exists() else take(clip, path, n)


def result(clip, name): return clip.with_name(f"result-{name.replace(' ', '-')}.mp4")


def run(way, clip, frames, command=COMMAND):
    "One way over the beginning of a clip, see `measure`"
    return measure(way, beginning(clip, min(frames, FEW.get(way, frames))), result(clip, way), command)


def rivals(args, clip):
    "What runs in turns on one clip: name -> a function that returns a `Run`"
    ways = {way: partial(run, way, clip, args.frames) for way in args.ways.split(',')}
    # what bgblur wrote in the same turn
    if 'floor of the result' in ways:
        ways['floor of the result'] = partial(measure, 'floor', result(clip, 'bgblur'), result(clip, 'floor'))
    if 'mediapipe' in ways:
        command = MEDIAPIPE/'bin'/'python', ROOT/'tools'/'usual_script.py'
        ways['mediapipe'] = partial(run, 'mediapipe', clip, args.frames, command)
        if not (MEDIAPIPE/'ready').exists():
            del ways['mediapipe']
            print('MediaPipe is left out: `make bench` installs it.', file=sys.stderr)
    return ways


def way_table(found):
    return table(['', 'frames per second', 'from', 'to', 'frames', 'whole process, s', 'peak memory, MB'],
                 [[way, *(f'{f(fps):.3g}' for f in (np.median, min, max)), rs[0].frames, f'{np.median([r.wall for r in rs]):.1f}',
                   f'{max(r.memory for r in rs):.0f}'] for way, rs in found.items() for fps in [[r.fps for r in rs]]])


def sizes(args, measured):
    measured['sizes'] = measured.get('sizes', {})
    for size in args.sizes.split(','):
        clip = enlarged(args, *map(int, size.split('x')))
        found = alternate(rivals(args, clip), args.rounds)
        by_stage = run('stages', clip, args.frames).stages
        measured['sizes'][size] = {'runs': {way: [vars(r) for r in rs] for way, rs in found.items()}, 'stages': by_stage,
                                   'noise': args.noise, 'mbit': clip.stat().st_size*8/SECONDS/1e6}
        print(f'{size}, {args.rounds} rounds\n\n{way_table(found)}\n\n{stage_table(by_stage)}\n', flush=True)
    print(speed_table(measured))


def steps(args, measured):
    clip = enlarged(args, 640, 360)
    ways = {way: partial(run, way, clip, args.frames) for way in WAYS if way not in ('stages', 'parts')}
    found = alternate(ways, args.rounds)
    measured['steps'] = {way: [r.fps for r in rs] for way, rs in found.items()}
    measured['parts'] = run('parts', clip, args.frames).stages
    print(f'{way_table(found)}\n\nThe tutorial\'s loop:\n\n{stage_table(measured["parts"])}')


FIRST_FRAME = """
import os, sys, time
from bgblur.cli import main
from bgblur.video import VideoWriter
write = VideoWriter.write
def first(*args):
    write(*args)
    print(time.time() - float(os.environ['START']), flush=True)
    VideoWriter.write = write
VideoWriter.write = first
main()
"""


def first_frame(clip):
    "Seconds from starting `bgblur video` until it has given its first frame to the encoder."
    done = subprocess.run([sys.executable, '-c', FIRST_FRAME, 'video', clip, '-o', result(clip, 'first'), '--overwrite', '-q'],
                          env={**os.environ, 'START': str(time.time())}, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


def help_seconds():
    start = time.perf_counter()
    subprocess.run([Path(sys.executable).parent/'bgblur', '--help'], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def start(args, measured):
    clip = beginning(enlarged(args, 1280, 720), 25)
    found = {'help': [], 'first frame': []}
    for _ in range(max(5, args.rounds)):
        found['help'].append(help_seconds())
        found['first frame'].append(first_frame(clip))
    measured['start'] = found


# the most memory that was held when a frame with one of the given numbers was done
MEMORY = """
import json, sys
from bgblur.pipeline import Blurrer
from bgblur.speed import peak_memory, with_blurrer
at, held = json.loads(sys.argv[1]), {}
class Counting(Blurrer):
    def stream(self, frames, transparent=False):
        for i, img in enumerate(super().stream(frames, transparent), 1):
            if i in at: held[i] = peak_memory()
            yield img
frames, seconds = with_blurrer(Counting(), *sys.argv[3:])
print(json.dumps(dict(frames=frames, seconds=seconds, memory=peak_memory(), stages=held)))
"""


def memory(args, measured):
    at = [int(n) for n in args.at.split(',')]
    clip = beginning(enlarged(args, 640, 360), max(at))
    measured['memory'] = measure('memory', clip, result(clip, 'memory'), (sys.executable, '-c', MEMORY, json.dumps(at))).stages


LIVE = """
import json, sys
from bgblur.camera.sources import FileSource
from bgblur.live import Live
report = Live(FileSource(sys.argv[1], rate=30), seconds=float(sys.argv[2])).run()
print(json.dumps({**vars(report), 'fps': report.fps, 'name': 'clip'}))
"""


def live(args, measured):
    clip = enlarged(args, 1280, 720)
    done = subprocess.run([sys.executable, '-c', LIVE, clip, '180'], capture_output=True, text=True, check=True)
    measured['live'] = json.loads(done.stdout.split('\n')[-2])


def machine():
    try: cpu = re.search(r'model name\s*: (.*)', Path('/proc/cpuinfo').read_text())[1]
    except (OSError, TypeError): cpu = platform.processor()
    return {'cpu': cpu, 'cores': os.cpu_count(), 'system': platform.system(), 'python': platform.python_version()}


def main(args):
    measured = json.loads(args.json.read_text()) if args.json.exists() else {}
    measured['machine'] = machine()
    for part in args.only.split(','):
        print(f'\n## {part}\n', flush=True)
        globals()[part](args, measured)
        # after each part: what took minutes is not lost if a later one fails
        args.json.write_text(json.dumps(measured, indent=1) + '\n')
    if {'start', 'memory', 'live'} & set(args.only.split(',')): print(start_table(measured))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', default='sizes,steps,start', metavar='PARTS', help=f"some of {','.join(PARTS)}")
    parser.add_argument('--long', action='store_true', help='memory and live, too')
    parser.add_argument('--sizes', default='640x360,1280x720,1920x1080', help='of the clips')
    parser.add_argument('--ways', default=','.join(RIVALS), help='which ways are measured at each size')
    parser.add_argument('--rounds', type=int, default=3, help='how often each is measured')
    parser.add_argument('--frames', type=int, default=250, help='of each clip; slow ways take fewer')
    parser.add_argument('--noise', type=float, default=0., help='of the clips, standard deviation in grey levels')
    parser.add_argument('--at', default='500,10000', help='numbers of the frames at which memory is noted')
    parser.add_argument('--clips', type=Path, default=ROOT/'output'/'bench', metavar='FOLDER', help='where the clips are kept')
    parser.add_argument('--json', type=Path, default=JSON, metavar='FILE', help='where to write')
    args = parser.parse_args()
    for names, known in ((args.only, PARTS), (args.ways, RIVALS)):
        if unknown := set(names.split(',')) - set(known): parser.error(f'{", ".join(unknown)}: give some of {",".join(known)}')
    if args.long: args.only = ','.join(dict.fromkeys([*args.only.split(','), 'memory', 'live']))
    main(args)
