"""Measure how fast bgblur and other programs are: `make bench`, or

    python tools/bench [--only sizes,steps,start,memory,live] [--sizes 640x360,...] [--rounds 3] [--frames 250] ...

sizes: the tutorial's loop, MediaPipe's script, bgblur, and decode + encode alone, from file to file. They take turns.
steps: each step from the tutorial's loop to bgblur. They take turns; nbs/07_speed.ipynb explains them.
start: the time of `bgblur --help`, and of `bgblur video` until its first frame is written.
memory: peak memory of bgblur after 500 and after 10,000 frames.
live: three minutes of live video at 1280x720. memory and live take minutes: they run with --long or when named.

Prints Markdown tables and writes the measurements to nbs/bench.json. The notebooks and README.md take their numbers from
there: `make readme` updates them. Parts that are not measured again keep their old numbers.
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

import numpy as np
from clips import ROOT, first_frames, mbit_per_second, resized_sample, result_path
from steps import COMMAND, WAYS

from bgblur.speed import alternate, measure, speed_table, stage_table, start_table, table

JSON = ROOT/'nbs'/'bench.json'
MEDIAPIPE = ROOT/'.venv-mediapipe'
CHILD = sys.executable, Path(__file__).with_name('child.py')
COMPARED = ('tutorial', 'mediapipe', 'bgblur', 'floor', 'floor of the result')
# slow ways run on fewer frames than --frames
FEWER_FRAMES = {'tutorial': 8, 'small model': 50, 'without predict': 100, 'tutorial stages': 8}


def run_way(way, clip, frames, command=COMMAND):
    "Return the `Run` of one way over the first `frames` frames of `clip`, or fewer if the way is slow."
    return measure(way, first_frames(clip, min(frames, FEWER_FRAMES.get(way, frames))), result_path(clip, way), command)


def compared_ways(args, clip):
    "Return what runs in turns on one clip: name -> a function that returns a `Run`. MediaPipe only where it is installed."
    ways = {way: partial(run_way, way, clip, args.frames) for way in args.ways.split(',')}
    # reads what bgblur wrote in the same turn
    if 'floor of the result' in ways:
        ways['floor of the result'] = partial(measure, 'floor', result_path(clip, 'bgblur'), result_path(clip, 'floor'))
    if 'mediapipe' in ways:
        command = MEDIAPIPE/'bin'/'python', Path(__file__).with_name('mediapipe_script.py')
        ways['mediapipe'] = partial(run_way, 'mediapipe', clip, args.frames, command)
        if not (MEDIAPIPE/'ready').exists():
            del ways['mediapipe']
            print('MediaPipe is not installed and is left out. `make bench` installs it.', file=sys.stderr)
    return ways


def way_table(runs):
    "Return a Markdown table of `runs`, name -> list of `Run`."
    def row(way, rs):
        fps = [r.fps for r in rs]
        return [way, *(f'{f(fps):.3g}' for f in (np.median, min, max)), rs[0].frames, f'{np.median([r.wall for r in rs]):.1f}',
                f'{max(r.memory for r in rs):.0f}']
    return table(['', 'frames per second', 'min', 'max', 'frames', 'whole process, s', 'peak memory, MB'],
                 [row(way, rs) for way, rs in runs.items()])


def measure_sizes(args, measured):
    "Measure the compared programs and the stages of bgblur at each size."
    measured['sizes'] = measured.get('sizes', {})
    for size in args.sizes.split(','):
        clip = resized_sample(args.clips, *map(int, size.split('x')), args.noise)
        runs = alternate(compared_ways(args, clip), args.rounds)
        stages = run_way('stages', clip, args.frames).stages
        measured['sizes'][size] = {'runs': {way: [vars(r) for r in rs] for way, rs in runs.items()}, 'stages': stages,
                                   'noise': args.noise, 'mbit': mbit_per_second(clip)}
        print(f'{size}, {args.rounds} rounds\n\n{way_table(runs)}\n\n{stage_table(stages)}\n', flush=True)
    print(speed_table(measured))


def measure_steps(args, measured):
    "Measure each step from the tutorial to bgblur, and the stages of the tutorial's loop."
    clip = resized_sample(args.clips, 640, 360, args.noise)
    runs = alternate({way: partial(run_way, way, clip, args.frames) for way in WAYS if 'stages' not in way}, args.rounds)
    measured['steps'] = {way: [r.fps for r in rs] for way, rs in runs.items()}
    measured['parts'] = run_way('tutorial stages', clip, args.frames).stages
    print(f'{way_table(runs)}\n\nThe tutorial\'s loop:\n\n{stage_table(measured["parts"])}')


def child(*args, **env):
    "Return what a function of child.py prints."
    return subprocess.run([*CHILD, *map(str, args)], env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout


def first_frame_seconds(clip):
    "Return the seconds from starting `bgblur video` until its first frame is given to the encoder."
    out = child('first-frame', 'video', clip, '-o', result_path(clip, 'first'), '--overwrite', '-q', START=str(time.time()))
    return float(out.split()[0])


def help_seconds():
    "Return the seconds that `bgblur --help` takes."
    start = time.perf_counter()
    subprocess.run([Path(sys.executable).parent/'bgblur', '--help'], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def measure_start(args, measured):
    "Measure how long the command takes to start, five times or more."
    clip = first_frames(resized_sample(args.clips, 1280, 720, args.noise), 25)
    found = {'help': [], 'first frame': []}
    for _ in range(max(5, args.rounds)):
        found['help'].append(help_seconds())
        found['first frame'].append(first_frame_seconds(clip))
    measured['start'] = found


def measure_memory(args, measured):
    "Measure the peak memory of bgblur after the frames of --at."
    at = [int(n) for n in args.at.split(',')]
    clip = first_frames(resized_sample(args.clips, 640, 360, args.noise), max(at))
    measured['memory'] = measure('memory', clip, result_path(clip, 'memory'), (*CHILD, 'memory', json.dumps(at))).stages


def measure_live(args, measured):
    "Measure three minutes of live video."
    clip = resized_sample(args.clips, 1280, 720, args.noise)
    measured['live'] = json.loads(child('live', clip, 180).split('\n')[-2])


PARTS = {'sizes': measure_sizes, 'steps': measure_steps, 'start': measure_start, 'memory': measure_memory, 'live': measure_live}


def machine():
    "Return CPU, number of cores, operating system and Python version."
    try: cpu = re.search(r'model name\s*: (.*)', Path('/proc/cpuinfo').read_text())[1]
    except (OSError, TypeError): cpu = platform.processor()
    return {'cpu': cpu, 'cores': os.cpu_count(), 'system': platform.system(), 'python': platform.python_version()}


def main(args):
    "Measure the parts in `args.only` and merge them into the JSON file."
    measured = json.loads(args.json.read_text()) if args.json.exists() else {}
    measured['machine'] = machine()
    parts = args.only.split(',')
    for part in parts:
        print(f'\n## {part}\n', flush=True)
        PARTS[part](args, measured)
        # written after each part, so a later failure loses nothing
        args.json.write_text(json.dumps(measured, indent=1) + '\n')
    if {'start', 'memory', 'live'} & set(parts): print(start_table(measured))


def parse(argv=None):
    "Return the checked arguments of the command line, or of the list `argv`."
    parser = argparse.ArgumentParser(prog='python tools/bench', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--only', default='sizes,steps,start', metavar='PARTS', help=f"Measure some of {','.join(PARTS)}. [default: %(default)s]")
    add('--long', action='store_true', help='Also measure memory and live.')
    add('--sizes', default='640x360,1280x720,1920x1080', help='Sizes of the clips. [default: %(default)s]')
    add('--ways', default=','.join(COMPARED), help='Ways to measure at each size. [default: all]')
    add('--rounds', type=int, default=3, help='Measure each way N times. [default: %(default)s]', metavar='N')
    add('--frames', type=int, default=250, help='Frames of each clip; slow ways take fewer. [default: %(default)s]', metavar='N')
    add('--noise', type=float, default=0., help='Noise of the clips: standard deviation in grey levels. [default: 0]')
    add('--at', default='500,10000', help='Frame numbers for the peak memory. [default: %(default)s]')
    add('--clips', type=Path, default=ROOT/'output'/'bench', metavar='FOLDER', help='Folder for the clips. [default: output/bench]')
    add('--json', type=Path, default=JSON, metavar='FILE', help='File to update. [default: nbs/bench.json]')
    args = parser.parse_args(argv)
    for names, known in ((args.only, PARTS), (args.ways, COMPARED)):
        if unknown := set(names.split(',')) - set(known): parser.error(f'unknown {", ".join(sorted(unknown))}: use some of {",".join(known)}')
    if args.long: args.only = ','.join(dict.fromkeys([*args.only.split(','), 'memory', 'live']))
    return args


if __name__ == '__main__': main(parse())
