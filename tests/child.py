"""Runs that test_interrupts.py disturbs, each in a process of its own.

A server loads the libraries once and forks for each run, so a run takes hundredths of a second instead of one.
"""
import errno
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import cv2
import numpy as np

from bgblur import cli, matte, video  # noqa: F401
from bgblur.io.files import VideoError
from bgblur.io.image import Stills
from bgblur.pipeline import BaseBlurrer


def listen():
    "Restore the default effect of signals: children of `nohup` or of a background shell ignore them."
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(s, signal.SIG_DFL)


def serve():
    "Fork for each `(action, folder, output)` on stdin and call `action()` there; its output goes to the file `output`."
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
        self.process = subprocess.Popen([sys.executable, '-c', 'import child; child.listen(); child.serve()'], cwd=Path(__file__).parent,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, action, folder):
        "Return exit code and output of `action()`, run in `folder`"
        self.process.stdin.write(pickle.dumps((action, folder, self.output)))
        self.process.stdin.flush()
        return int(self.process.stdout.readline()), self.output.read_text()

    def close(self): self.process.communicate()


# -- runs -------------------------------------------------------------------------------------------------------

def command(*args, fault=None):
    "Call the command as its console script does"
    if fault: fault()
    sys.argv = ['bgblur', *map(str, args)]
    cli.main()


class BoxBlur(BaseBlurrer):
    "A blur without a model"
    def __call__(self, frame, seconds=None): return cv2.blur(frame, (9, 9))
    def cutout(self, frame, seconds=None): return np.dstack([frame, frame[..., 0]])


def api(dst, fault=None, **options):
    "Call `blur_video` without a model; .mov and folders transparent. Like the command, print a `VideoError` and exit with 2."
    if fault: fault()
    transparent = Path(dst).suffix in ('.mov', '')
    try: video.blur_video('src.mp4', dst, BoxBlur(), progress=False, transparent=transparent, **options)
    except VideoError as e:
        print(e)
        sys.exit(2)


# -- faults ------------------------------------------------------------------------------------------------

STEPS = {'open', 'os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.chmod', 'os.listdir', 'os.scandir', 'shutil.rmtree',
         'fcntl.flock'}


def at_step(k, action, again=False):
    "Call `action()` just before Python touches the working folder or a lock for the `k`-th time; `again`: and each time after that."
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
    "The command's answer to a signal, at a step"
    cli._handle_signals(cli._clean_up_and_die)
    at_step(k, lambda: os.kill(os.getpid(), number), again)


def interrupt_at(k):
    "Raise `KeyboardInterrupt` at a step, like Ctrl-C in a notebook"
    def interrupt(): raise KeyboardInterrupt
    at_step(k, interrupt)


def full_at(k):
    "Fail with a full disk at step `k` only"
    def full(): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    at_step(k, full)


def count_steps():
    def count(): print('.', end='')
    at_step(0, count, again=True)


def at_frame(n, action, *args):
    "Call `action(*args)` just before frame `n` is written"
    add, inputs = Stills.add, video._blurrer_inputs

    def add_then_act(self, i, img):
        add(self, i, img)
        if i == n - 1: action(*args)

    def act_then_start(*inputs_args):
        action(*args)
        return inputs(*inputs_args)
    if n: Stills.add = add_then_act
    else: video._blurrer_inputs = act_then_start


def delete_parts():
    for p in Path('.').glob('.*.part'): shutil.rmtree(p)


def delete_new():
    for p in Path('.').glob('.*.part/new'): shutil.rmtree(p) if p.is_dir() else p.unlink()


def into_folder(name):
    "Put a folder with a file in it there"
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
    "Close the terminal while the fourth frame is processed"
    if ignored: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    at_frame(3, os.kill, os.getpid(), signal.SIGHUP)


def quota(size):
    "Limit the size of files. Python ignores the signal that comes with it."
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
