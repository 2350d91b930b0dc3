"""What test_interrupts.py does to runs, in processes of their own.

A server loads the libraries once and forks for each run, so a run costs hundredths of a second. The command costs one.
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


def listen():
    "Give signals their default effect: `nohup` or a shell that starts the tests in the background makes children ignore them."
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(s, signal.SIG_DFL)


def serve():
    "Fork for each `(does, folder, said)` that comes in, and call `does()` there, its output in the file `said`."
    while True:
        try: does, folder, said = pickle.load(sys.stdin.buffer)
        except EOFError: return
        if not (pid := os.fork()): _run(does, folder, said)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(does, folder, said):
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for fd in (1, 2): os.dup2(out, fd)
    os.chdir(folder)
    code = 0
    try: does()
    except SystemExit as e: code = e.code
    except BaseException:
        traceback.print_exc()
        code = 70
    try: sys.stdout.flush()
    finally: os._exit(code or 0)


class Server:
    def __init__(self, said):
        self.said = said
        self.process = subprocess.Popen([sys.executable, '-c', 'import child; child.listen(); child.serve()'], cwd=Path(__file__).parent,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, does, folder):
        "Exit code and output of `does()`, run in `folder`"
        self.process.stdin.write(pickle.dumps((does, folder, self.said)))
        self.process.stdin.flush()
        return int(self.process.stdout.readline()), self.said.read_text()

    def close(self): self.process.communicate()


# -- what is run -------------------------------------------------------------------------------------------------------

def command(*args, fault=None):
    "The command, as its console script calls it"
    if fault: fault()
    sys.argv = ['bgblur', *map(str, args)]
    cli.main()


def blur(frame, seconds=None): return cv2.blur(frame, (9, 9))


def cutout(frame, seconds=None): return np.dstack([frame, frame[..., 0]])


blur.cutout = cutout


def api(dst, fault=None, **options):
    "`blur_video` (.mov and folders transparent) with a blur that needs no net. A `VideoError` is printed, and exits with 2, as by the command."
    if fault: fault()
    transparent = Path(dst).suffix in ('.mov', '')
    try: video.blur_video('src.mp4', dst, blur, progress=False, transparent=transparent, **options)
    except video.VideoError as e:
        print(e)
        sys.exit(2)


# -- what happens to it ------------------------------------------------------------------------------------------------

STEPS = {'open', 'os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.chmod', 'os.listdir', 'os.scandir', 'shutil.rmtree',
         'fcntl.flock'}


def at_step(k, does, again=False):
    "Call `does()` just before Python touches the working folder, or a lock, for the `k`-th time; `again`: from then on each time."
    n = 0

    def hook(event, args):
        nonlocal n
        if event not in STEPS: return
        path = '' if event == 'fcntl.flock' else os.fspath(args[0]) if isinstance(args[0], (str, os.PathLike)) else ''
        if os.path.isabs(path) and not path.startswith(os.getcwd()): return
        n += 1
        if n == k or again and n > k: does()
    sys.addaudithook(hook)


def signal_at(k, number, again=False):
    "The command's answer to a signal, at a step"
    cli._handle_signals(cli._clean_up_and_die)
    at_step(k, lambda: os.kill(os.getpid(), number), again)


def interrupt_at(k):
    "Ctrl-C in a notebook, at a step"
    def interrupt(): raise KeyboardInterrupt
    at_step(k, interrupt)


def full_at(k):
    "The disk is full when it comes to step `k`, and has room again for the next one"
    def full(): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    at_step(k, full)


def count_steps():
    def count(): print('.', end='')
    at_step(0, count, again=True)


def at_frame(n, *does):
    "Call the first of `does` with the others just before frame `n` is written"
    add = video._Stills.add
    first = video._stream

    def then(self, i, img):
        add(self, i, img)
        if i == n - 1: does[0](*does[1:])

    def start(*args):
        does[0](*does[1:])
        return first(*args)
    if n: video._Stills.add = then
    else: video._stream = start


def delete_parts():
    for p in Path('.').glob('.*.part'): shutil.rmtree(p)


def delete_new():
    for p in Path('.').glob('.*.part/new'): shutil.rmtree(p) if p.is_dir() else p.unlink()


def into_folder(name):
    "There is a folder now, with something in it"
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
    "The terminal closes while the fourth frame is at work"
    if ignored: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    at_frame(3, os.kill, os.getpid(), signal.SIGHUP)


def quota(size):
    "No file may become larger than this. Python ignores the signal that comes with it."
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
