"""Run bgblur in child processes, and disturb these runs: signals, crashes, full disks, deleted files.

A server loads the libraries once and forks for each run. So a run takes hundredths of a second instead of a whole one.
"""
import errno
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import cv2
import numpy as np

from bgblur import cli, matte, split, video  # noqa: F401
from bgblur.core import command as signals
from bgblur.batch import process as batch_process
from bgblur.io.files import VideoError, atomic_file
from bgblur.io.workers import tell
from bgblur.pipeline import BaseBlurrer


def listen():
    "Restore the default effect of signals, because children of `nohup` or of a background shell ignore them."
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(s, signal.SIG_DFL)


def serve():
    "For each `(action, folder, output)` on stdin, fork and call `action()` in `folder`. Its output goes to the file `output`."
    while True:
        try: action, folder, output = pickle.load(sys.stdin.buffer)
        except EOFError: return
        if not (pid := os.fork()): _run(action, folder, output)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(action, folder, output):
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for fd in (1, 2): os.dup2(out, fd)
    os.chdir(folder)
    code = 0
    try: action()
    except SystemExit as e: code = e.code
    except BaseException:
        traceback.print_exc()
        code = 70
    try: sys.stdout.flush()
    finally: os._exit(code or 0)


class Server:
    def __init__(self, output):
        self.output = output
        self.process = subprocess.Popen([sys.executable, '-c', 'import disturb; disturb.listen(); disturb.serve()'], cwd=Path(__file__).parent,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, action, folder):
        "Return the exit code and the output of `action()`, run in `folder`."
        self.process.stdin.write(pickle.dumps((action, folder, self.output)))
        self.process.stdin.flush()
        return int(self.process.stdout.readline()), self.output.read_text()

    def close(self): self.process.communicate()


# -- runs -------------------------------------------------------------------------------------------------------

def command(*args, fault=None):
    "Call the command as its console script does."
    if fault: fault()
    sys.argv = ['bgblur', *map(str, args)]
    cli.main()


class BoxBlur(BaseBlurrer):
    "Blur without a model."
    def __call__(self, frame, seconds=None): return cv2.blur(frame, (9, 9))
    def cutout(self, frame, seconds=None): return np.dstack([frame, frame[..., 0]])


def api(dst, fault=None, **options):
    "Call `blur_video` without a model. A .mov or a folder becomes transparent. Print a `VideoError` and exit with 2, as the command does."
    if fault: fault()
    transparent = Path(dst).suffix in ('.mov', '')
    try: video.blur_video('src.mp4', dst, BoxBlur(), progress=False, transparent=transparent, **options)
    except VideoError as e:
        print(e)
        sys.exit(2)


# -- a worker of bgblur batch ------------------------------------------------------------------------------------

def crash_once(number, frame, pair, *args):
    "Do what a worker does, but send it a signal at a frame of the clip bad.mp4. Do that only once: while the file `crash` exists."
    if pair.src.name == 'bad.mp4' and Path('crash').exists():
        Path('crash').unlink()
        at_frame(frame, os.kill, os.getpid(), number)
    return batch_process(pair, *args)


def crash_always(pair, *args):
    if pair.src.name == 'bad.mp4': at_frame(3, os.kill, os.getpid(), signal.SIGSEGV)
    return batch_process(pair, *args)


def in_folder(folder, function, pair, *args):
    "Call one of these functions in another folder."
    os.chdir(folder)
    return function(pair, *args)


def endless(pair, *args):
    "Start to write the result of bad.mp4, and go on until the task is stopped."
    if pair.src.name != 'bad.mp4': return batch_process(pair, *args)
    with atomic_file(pair.dst):
        Path('started').touch()
        while True:
            tell((1, None, 0))
            time.sleep(.05)


def use_memory(pair, *args):
    if pair.src.name == 'bad.mp4': np.ones(2**29)
    return batch_process(pair, *args)


# -- parts of a clip ---------------------------------------------------------------------------------------------

def _note_part(part):
    "Add the start of a part to the file `calls`. Return how many times it is there."
    with open('calls', 'a') as f: f.write(f'{part.first}\n')
    return Path('calls').read_text().split().count(str(part.first))


def fail_in_part(first, pair, path, part, *args):
    "Do what a worker does, but fail in the part that starts at `first`."
    _note_part(part)
    if part.first == first: raise VideoError(f'{pair.src} cannot be decoded here.')
    return split.process_part(pair, path, part, *args)


def kill_in_part(first, pair, path, part, *args):
    "Do what a worker does, but die once in the part that starts at `first`, just before its file is complete."
    if _note_part(part) == 1 and part.first == first: split.PartWriter.close = lambda writer: os.kill(os.getpid(), signal.SIGKILL)
    return split.process_part(pair, path, part, *args)


# -- faults ------------------------------------------------------------------------------------------------

STEPS = {'open', 'os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.chmod', 'os.listdir', 'os.scandir', 'shutil.rmtree',
         'fcntl.flock'}


def at_step(k, action, again=False):
    "Call `action()` just before Python uses the working folder or a lock for the `k`-th time; with `again`, also each time after that."
    n = 0

    def hook(event, args):
        nonlocal n
        if event not in STEPS: return
        path = '' if event == 'fcntl.flock' else os.fspath(args[0]) if isinstance(args[0], (str, os.PathLike)) else ''
        if os.path.isabs(path) and not path.startswith(os.getcwd()): return
        n += 1
        if n == k or again and n > k: action()
    sys.addaudithook(hook)


def signal_at(k, number, again=False):
    "Send a signal at step `k`, with the handlers of the command."
    signals.handle_signals(signals.clean_up_and_die)
    at_step(k, lambda: os.kill(os.getpid(), number), again)


def interrupt_at(k):
    "Raise `KeyboardInterrupt` at step `k`, like Ctrl-C in a notebook."
    def interrupt(): raise KeyboardInterrupt
    at_step(k, interrupt)


def full_at(k):
    "Raise the error of a full disk at step `k` only."
    def full(): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    at_step(k, full)


def count_steps():
    "Print a dot at each step."
    def count(): print('.', end='')
    at_step(0, count, again=True)


def at_frame(n, action, *args):
    "Call `action(*args)` just before frame `n` is written."
    blur_frames, inputs = video._blur_frames, video._blurrer_inputs

    def blur_then_act(reader, writer, blurrer, transparent, done, *others):
        def done_then_act(i, *written):
            done(i, *written)
            if i == n - 1: action(*args)
        return blur_frames(reader, writer, blurrer, transparent, done_then_act, *others)

    def act_then_start(*input_args):
        action(*args)
        return inputs(*input_args)
    if n: video._blur_frames = blur_then_act
    else: video._blurrer_inputs = act_then_start


def delete_parts():
    for p in Path('.').glob('.*.part'): shutil.rmtree(p)


def delete_new():
    for p in Path('.').glob('.*.part/new'): shutil.rmtree(p) if p.is_dir() else p.unlink()


def into_folder(name):
    "Replace `name` by a folder with a file in it."
    if os.path.isfile(name): os.unlink(name)
    os.makedirs(name, exist_ok=True)
    Path(name, 'holiday.jpg').write_bytes(b'precious')


def into_file(name):
    if os.path.isdir(name): shutil.rmtree(name)
    Path(name).write_bytes(b'precious')


def into_frames(name):
    os.makedirs(name)
    Path(name, 'frame_000000.png').write_bytes(b'precious')


def hang_up(ignored):
    "Send the signal of a closed terminal while the fourth frame is processed."
    if ignored: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    at_frame(3, os.kill, os.getpid(), signal.SIGHUP)


def quota(size):
    "Limit the size of files. Python ignores the signal SIGXFSZ, so writing raises an `OSError`."
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
