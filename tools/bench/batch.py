"""Blur an archive of many short clips with `bgblur batch`, and measure it:

    python tools/bench/batch.py [--clips 200] [--kills 10] [--seed 0] [--only costs,local,cluster,kills,cluster-kills] [--json FILE]

The archive has folders of clips of half a second to one second in six containers, from the sample clips. Every 20th file is damaged or no
clip. Each part starts from an empty output folder and prints a row:

- costs: seconds of a worker's start, of a frame, and per task of a cluster, for the simulation in 10_batch.
- single: each clip in one process, one after the other. All others must give the same results, frame by frame.
- local: `bgblur batch` with one and with two workers, one thread each.
- cluster: a scheduler and two workers of Dask, on this computer.
- kills: SIGKILL at random moments, N times each, of the main process and of workers. A run whose main process was killed is
  started again.
- cluster-kills: the same with the scheduler, and with workers of the cluster.

Efficiency is the time of `single` divided by wall time and number of workers.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import av  # after OpenCV: both load a GUI library
import psutil

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SUFFIXES = '.mp4', '.mov', '.mkv', '.m4v', '.webm', '.avi'
BAD = (lambda data: data[:len(data)//3], lambda _: b'', lambda _: b'not a clip', lambda data: bytes(len(data)),
       lambda data: data[len(data)//2:], lambda _: b'<html>404</html>'*50, lambda _: b'PK\3\4' + bytes(99), lambda _: b'\x1aE\xdf\xa3',
       lambda _: b'RIFF\0\0\0\0AVI ', lambda data: data[::-1])


def write_clip(path, imgs, rate=25):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as out:
        v = out.add_stream('libvpx' if path.suffix == '.webm' else 'libx264', rate=rate)
        v.height, v.width = imgs[0].shape[:2]
        if path.suffix == '.webm': v.options = {'deadline': 'realtime', 'cpu-used': '8'}
        for img in imgs: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())


def make_archive(folder, n, rng):
    "Write `n` files and return the paths of the bad ones."
    sources, bad = [], []
    for name in ('testclip.mp4', 'gestures.mp4'):
        reader = cv2.VideoCapture(str(ROOT/'sample_data'/name))
        while (frame := reader.read()[1]) is not None: sources.append(cv2.resize(frame, (320, 240)))
    for i in range(n):
        path = folder/f'{2020 + i%5}'/f'clip{i:03}{SUFFIXES[i%6]}'
        start = rng.randrange(len(sources) - 30)
        write_clip(path, sources[start:start + rng.randrange(12, 31)])
        if i%20 == 7:
            path.write_bytes(BAD[len(bad)%len(BAD)](path.read_bytes()))
            bad.append(path)
    return bad


def digest(folder):
    "Return a dict from each result to a hash of its frames: the bytes of a Matroska file contain a random number."
    found = {}
    for path in sorted(p for p in folder.rglob('*') if p.is_file() and p.name[0] != '.'):
        h = hashlib.sha256()
        with av.open(str(path)) as c:
            for f in c.decode(video=0): h.update(f'{f.pts}'.encode() + f.to_ndarray().tobytes())
        found[path.relative_to(folder).as_posix()] = h.hexdigest()
    return found


def leftovers(folder): return [p.name for p in folder.rglob('.*.part')]


# -- runs -------------------------------------------------------------------------------------------------------------

@contextmanager
def memory_of(process, peaks):
    "Note in `peaks`, a dict from process id to bytes, the highest memory of each child of a process."
    done = threading.Event()

    def watch():
        while not done.wait(.1):
            try: children = psutil.Process(process.pid).children()
            except psutil.NoSuchProcess: return
            for p in children:
                try: peaks[p.pid] = max(peaks.get(p.pid, 0), p.memory_info().rss)
                except psutil.NoSuchProcess: pass
    thread = threading.Thread(target=watch)
    thread.start()
    try: yield
    finally:
        done.set()
        thread.join()


def command(archive, out, *args):
    return [str(BIN/'bgblur'), 'batch', str(archive), '--to', str(out), '-q', *map(str, args)]


def run(args, peaks=None):
    "Run a command to its end. Return its exit code and wall time."
    start = time.perf_counter()
    process = subprocess.Popen(args, stderr=subprocess.DEVNULL)
    with memory_of(process, {} if peaks is None else peaks): code = process.wait()
    return code, time.perf_counter() - start


SINGLE = """
import json, os, sys, time
from bgblur.batch import process
from bgblur.core.errors import BgblurError
from bgblur.io.sources import plan
seconds, frames = [], 0
for pair in plan([sys.argv[1]], sys.argv[2]):
    start = time.perf_counter()
    try: frames += process(pair)['frames']
    except BgblurError: pass
    seconds.append(time.perf_counter() - start)
print(json.dumps([seconds, frames]))
"""


def single(archive, out):
    "Blur all clips one after the other in one process. Return seconds per clip, and the number of frames."
    args = [sys.executable, '-c', SINGLE, archive, out]
    return json.loads(subprocess.run(args, capture_output=True, text=True, check=True).stdout)


def row(name, seconds, wall, n_workers, peaks):
    "Return the numbers of a run; `seconds` are those of the single runs."
    overhead = 1e3*(wall*n_workers - sum(seconds))/len(seconds)
    return {'name': name, 'wall': round(wall, 1), 'efficiency': round(sum(seconds)/wall/n_workers, 3),
            'overhead_ms': round(overhead), **({'worker_mb': round(max(peaks.values())/1e6)} if peaks else {})}


def check(name, out, truth, report, bad):
    "Exit unless a run gave the same files as `truth`, an error row for each bad file, and nothing half-written."
    rows = json.loads(report.read_text())
    failed = sorted(Path(r['source']) for r in rows if r['error'])
    if digest(out) != truth: sys.exit(f'{name}: the results differ')
    if failed != sorted(bad): sys.exit(f'{name}: {len(failed)} files failed, not {len(bad)}: {failed}')
    if leftovers(out): sys.exit(f'{name}: half-written: {leftovers(out)}')
    print(f'{name}: {len(truth)} results as in the single run, {len(failed)} error rows, nothing half-written', flush=True)


# -- a cluster on this computer ---------------------------------------------------------------------------------------

@contextmanager
def cluster(folder):
    "Start a scheduler and two workers. Yield the scheduler's address and the two processes."
    file = folder/f'scheduler-{time.monotonic_ns()}.json'
    env = os.environ | {'BGBLUR_THREADS': '1'}
    args = ['scheduler', '--port', '0', '--dashboard-address', ':0'], ['worker', '--nworkers', '2', '--nthreads', '1', '--no-dashboard']
    started = [subprocess.Popen([BIN/'dask', *some, '--scheduler-file', file], env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=folder)
               for some in args]
    try:
        while not file.exists() or not file.read_text(): time.sleep(.1)
        yield json.loads(file.read_text())['address'], started
    finally:
        for process in reversed(started):
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            process.wait()
            for p in children:
                if p.is_running(): p.kill()


# -- kills ------------------------------------------------------------------------------------------------------------

def random_times(rng, n, longest): return [rng.uniform(.3, longest) for _ in range(n)]


def kill_main(args, times):
    "Start the command again and again and kill it. Return how many kills came before its end."
    n = 0
    for seconds in times:
        process = subprocess.Popen(args, stderr=subprocess.DEVNULL)
        try: process.wait(seconds)
        except subprocess.TimeoutExpired: n += 1
        process.kill()
        process.wait()
    return n


def kill_children(args, times, parents):
    "Start the command, and kill a random worker process after each of the times. Return how many were killed, and the exit code."
    n, process = 0, subprocess.Popen(args, stderr=subprocess.DEVNULL)
    for seconds in times:
        try: process.wait(seconds)
        except subprocess.TimeoutExpired:
            children = [c for p in parents or [process] for c in psutil.Process(p.pid).children() if 'spawn' in ' '.join(c.cmdline())]
            if children:
                random.choice(children).kill()
                n += 1
    return n, process.wait()


def kill_scheduler(folder, args, times):
    "Start cluster and command again and again and kill the scheduler. Return how many kills came before the end of the command."
    n = 0
    for seconds in times:
        with cluster(folder) as (address, started):
            process = subprocess.Popen([*args, '--scheduler', address], stderr=subprocess.PIPE, text=True)
            try: process.wait(seconds + 3)      # its start takes longer
            except subprocess.TimeoutExpired: n += 1
            started[0].kill()
            err = process.communicate()[1]
            if process.returncode not in (1, 2) or 'Traceback' in err: sys.exit(f'scheduler killed: exit code {process.returncode}, {err}')
    return n


# -- what a simulation needs --------------------------------------------------------------------------------------------

FRAME = """
import json, sys
from pathlib import Path
from bgblur.batch import process
from bgblur.io.sources import Pair
pair = Pair(Path(sys.argv[1]), Path(sys.argv[2]), 'clip')
process(pair)       # opens the model
found = [process(pair) for _ in range(3)]
print(json.dumps(min(f['seconds']/f['frames'] for f in found)))
"""

START = """
import json, time
from bgblur.io.workers import Workers
if __name__ == '__main__':
    start = time.perf_counter()
    with Workers(1) as workers:
        workers.submit('import', __import__, 'bgblur.batch')
        while not workers.wait(): pass
        print(json.dumps(time.perf_counter() - start))
"""

TASKS = """
import json, math, sys, time
from bgblur.io.cluster import Cluster
with Cluster(sys.argv[1]) as pool:
    start, waiting, running = None, 500, 0
    while waiting or running:
        while waiting and pool.n_free > 0:
            pool.submit(waiting, math.sqrt, 2)
            waiting, running = waiting - 1, running + 1
        running -= sum(e.what != 'progress' for e in pool.wait())
        start = start or time.perf_counter()        # the first task also waits for the workers
print(json.dumps((time.perf_counter() - start)/500))
"""


def output_of(folder, code, *args):
    "Return what a program prints as JSON."
    (folder/'program.py').write_text(code)
    return json.loads(subprocess.run([sys.executable, folder/'program.py', *args], capture_output=True, text=True, check=True).stdout)


def costs(folder):
    "Return seconds: of a worker's start, of a frame of 1280x720 on one thread, and per task of a cluster with two workers."
    reader = cv2.VideoCapture(str(ROOT/'sample_data'/'gestures.mp4'))
    write_clip(folder/'720.mp4', [cv2.resize(reader.read()[1], (1280, 720)) for _ in range(75)])
    with cluster(folder) as (address, _): task = output_of(folder, TASKS, address)
    return {'start': round(output_of(folder, START), 2), 'frame': round(output_of(folder, FRAME, folder/'720.mp4', folder/'720-new.mp4'), 4),
            'task': round(task, 4)}


# -- the parts --------------------------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clips', type=int, default=200)
    parser.add_argument('--kills', type=int, default=10)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', default='costs,local,cluster,kills,cluster-kills')
    parser.add_argument('--json')
    args = parser.parse_args()
    os.environ['BGBLUR_THREADS'] = '1'
    rng, parts, rows, kills = random.Random(args.seed), args.only.split(','), [], {}
    folder = Path(tempfile.mkdtemp(prefix='bgblur-bench-'))
    archive, report = folder/'archive', folder/'report.json'
    found = costs(folder) if 'costs' in parts else {}
    print(found, flush=True)
    bad = make_archive(archive, args.clips, rng)
    seconds, frames = single(archive, folder/'single')
    truth = digest(folder/'single')
    print(f'{args.clips} files, {len(bad)} bad, {frames} frames, {sum(seconds):.1f} s in one process', flush=True)

    def measure(name, n, *more):
        out, peaks = folder/name.replace(' ', '-'), {}
        code, wall = run(command(archive, out, '--report', report, *more), peaks)
        if code != 1: sys.exit(f'{name}: exit code {code}')
        check(name, out, truth, report, bad)
        rows.append(row(name, seconds, wall, n, peaks))
        print(rows[-1], flush=True)

    def finish(name, out, killed, *more):
        code, _ = run(command(archive, out, '--report', report, *more))
        if code != 1: sys.exit(f'{name}: exit code {code}')
        kills[name] = killed
        print(f'{name}: {killed} kills', flush=True)
        check(name, out, truth, report, bad)
    if 'local' in parts:
        for n in (1, 2): measure(f'local {n}', n, '--workers', n)
    if 'cluster' in parts:
        with cluster(folder) as (address, _): measure('cluster 2', 2, '--scheduler', address)
    # so that all kills come within one pass over the archive
    times = random_times(rng, args.kills, sum(seconds)/args.kills)
    two = '--workers', '2'
    if 'kills' in parts:
        finish('main', folder/'main', kill_main(command(archive, folder/'main', *two), times), *two)
        n, code = kill_children(command(archive, folder/'worker', '--report', report, *two), times, None)
        if code != 1: sys.exit(f'worker: exit code {code}')
        finish('worker', folder/'worker', n, *two)
    if 'cluster-kills' in parts:
        n = kill_scheduler(folder, command(archive, folder/'scheduler'), times)
        with cluster(folder) as (address, _): finish('scheduler', folder/'scheduler', n, '--scheduler', address)
        with cluster(folder) as (address, started):
            n, code = kill_children(command(archive, folder/'dask', '--report', report, '--scheduler', address), times, started[1:])
            if code != 1: sys.exit(f'worker of the cluster: exit code {code}')
            finish('worker of the cluster', folder/'dask', n, '--scheduler', address)
    found = {'costs': found, 'files': args.clips, 'bad': len(bad), 'frames': frames, 'single': round(sum(seconds), 1), 'rows': rows, 'kills': kills}
    if args.json: Path(args.json).write_text(json.dumps(found, indent=1) + '\n')
    shutil.rmtree(folder)


if __name__ == '__main__': main()
