"""Stop runs, or let their disk fail, at any moment. The source and existing files must stay untouched, no partial file may
have the final name, and no temporary file may remain."""
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import av
import disturb
import cv2
import pytest
from conftest import BIN, write_clip

from bgblur.io import files
from bgblur.io.files import VideoError, atomic_file, atomic_folder

N = 8       # frames of the clip
SIZE = (90, 120)
# together they use all kinds of temporary files: a video with stills, and a folder of frames
RUNS = {'video': ('out.mp4', {'stills': 3}), 'frames': ('frames', {})}
OPTIONS = {'video': ['-o', 'out.mp4', '--stills', '3'], 'frames': ['-b', 'none', '-o', 'frames']}


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    server = disturb.Server(tmp_path_factory.mktemp('output')/'output')
    yield server
    server.close()


@pytest.fixture(scope='module')
def source(tmp_path_factory, frames):
    return write_clip(tmp_path_factory.mktemp('source')/'src.mp4', [cv2.resize(f, SIZE[::-1]) for f in frames[:N]])


def furnish(folder, source, fresh=False):
    "Make a folder with the source and, unless `fresh`, the results of an earlier run. Return it."
    folder.mkdir()
    shutil.copy(source, folder/'src.mp4')
    if fresh: return folder
    (folder/'out.mp4').write_bytes(b'an old video')
    for name, suffix in (('out-stills', 'jpg'), ('frames', 'png')):
        (folder/name).mkdir()
        for n in (0, 3, 900): (folder/name/f'frame_{n:06}.{suffix}').write_bytes(b'an old image')
    return folder


@pytest.fixture
def place(tmp_path, source): return furnish(tmp_path/'place', source)


def parts(folder): return [p for p in folder.rglob('*') if '.part' in p.name]


def tree(folder):
    "Return the names and bytes of all files in a folder, except temporary ones."
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
            for p in sorted(folder.rglob('*')) if '.part' not in str(p.relative_to(folder))}


def complete(path, n=N, size=SIZE):
    "Return whether `path` is a complete result, with all frames."
    if path.is_dir(): return [cv2.imread(str(p), -1).shape for p in sorted(path.iterdir())] == [(*size, 4)]*n
    with av.open(str(path)) as c: return sum(1 for _ in c.decode(video=0)) == n


def is_new(folder, before, name, n=N, size=SIZE):
    "Return False if nothing changed, True if the result is new and complete; fail otherwise."
    now = tree(folder)
    if now == before: return False
    assert complete(folder/name, n, size)
    for k in now.keys() | before.keys():
        if k.startswith(name): continue
        # stills are moved after the video: some may still be old, all are complete
        if k.startswith('out-stills/frame_') and now.get(k, b'an old image') != b'an old image':
            assert cv2.imread(str(folder/k)).shape == (*size, 3)
        elif not k.startswith('out-stills'): assert now[k] == before[k]
    return True


def check_next_runs(server, folder, before, kind, *whole):
    "After a kill, the next run of any kind cleans up and restores moved files; a run of the same kind succeeds."
    assert server(partial(disturb.api, 'other.mp4'), folder) == (0, '')
    (folder/'other.mp4').unlink()
    assert all('out-stills' in p.relative_to(folder).parts for p in parts(folder))
    is_new(folder, before, RUNS[kind][0], *whole)
    check_second_run(server, folder, kind, *whole)


def check_second_run(server, folder, kind, n=N, size=SIZE):
    name, options = RUNS[kind]
    assert server(partial(disturb.api, name, overwrite=True, **options), folder) == (0, '')
    assert complete(folder/name, n, size) and not parts(folder)
    if kind == 'video': assert [p.name for p in sorted((folder/'out-stills').iterdir())] == [f'frame_{i:06}.jpg' for i in range(0, n, 3)]


def one_sentence(result, *words):
    code, text = result
    lines = text.strip().split('\n')
    assert code == 2 and len(lines) == 1 and lines[0].endswith('.') and 'Traceback' not in text, result
    for word in words: assert word in lines[0], lines


# -- signals -----------------------------------------------------------------------------------------------------------

def stop(folder, source, kind, number, moment):
    "Start the command, send it a signal after `moment` seconds, and return the outcome."
    before, start = tree(furnish(folder, source)), time.monotonic()
    process = subprocess.Popen([BIN/'bgblur', 'video', 'src.mp4', '--overwrite', *OPTIONS[kind]], cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try: process.wait(moment)
    except subprocess.TimeoutExpired: process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    return SimpleNamespace(folder=folder, kind=kind, before=before, code=process.returncode, err=err,
                           moment=moment, took=time.monotonic() - start)


WHOLE = 50, (120, 160)      # frames of a longer clip, and their size


@pytest.fixture(scope='module')
def longer(tmp_path_factory, frames): return write_clip(
    tmp_path_factory.mktemp('longer')/'src.mp4', [cv2.resize(f, WHOLE[1][::-1]) for f in frames[:WHOLE[0]]])


@pytest.fixture(scope='module')
def duration(tmp_path_factory, longer):
    "Return the seconds that a run takes while another one runs."
    place = tmp_path_factory.mktemp('duration')
    with ThreadPoolExecutor(2) as pool: runs = [*pool.map(lambda kind: stop(place/kind, longer, kind, signal.SIGKILL, 60), RUNS)]
    assert [r.code for r in runs] == [0, 0]
    return max(r.took for r in runs)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_at_random_moments(tmp_path, longer, soak, server, duration, number):
    "Send signals at random moments between the start of the process and its end."
    rng = random.Random(number)
    moments = [(tmp_path/str(i), longer, [*RUNS][i % 2], number, rng.uniform(0, duration)) for i in range(20 if soak else 7)]
    with ThreadPoolExecutor(2) as pool: stopped = [*pool.map(stop, *zip(*moments))]
    for s in stopped:
        name = RUNS[s.kind][0]
        if number == signal.SIGKILL: check_next_runs(server, s.folder, s.before, s.kind, *WHOLE)
        else: assert not parts(s.folder), s
        # we cannot handle a signal before our first line runs
        in_python = 'Traceback' in s.err and ('cli.py' not in s.err or 'import os, signal, sys' in s.err)
        assert 'Traceback' not in s.err or in_python, s
        if s.code == 0: assert complete(s.folder/name, *WHOLE), s
        else:
            assert s.code == -number or in_python, s
            if number != signal.SIGKILL: is_new(s.folder, s.before, name, *WHOLE)
    if number != signal.SIGKILL:
        for s in stopped[:2]: check_second_run(server, s.folder, s.kind, *WHOLE)


def steps(server, tmp_path, source, kind, fresh):
    "Return how often a run uses the disk."
    name, options = RUNS[kind]
    code, text = server(partial(disturb.api, name, disturb.count_steps, overwrite=True, **options), furnish(tmp_path/'count', source, fresh))
    assert code == 0 and set(text) == {'.'} and len(text) > 10, text
    return len(text)


def each_step(server, tmp_path, source, soak, kind, fresh, fault):
    "Run with `fault(k)` at step `k`, for some steps or all. Yield folder, its earlier files, exit code, output and a description."
    name, options = RUNS[kind]
    n = steps(server, tmp_path, source, kind, fresh)
    for k in range(1, n + 1) if soak else random.Random(f'{kind} {fresh}').sample(range(1, n + 1), 4):
        folder = furnish(tmp_path/str(k), source, fresh)
        before = tree(folder)
        code, text = server(partial(disturb.api, name, partial(fault, k), overwrite=True, **options), folder)
        yield folder, before, code, text, f'step {k} of {n}: {code} {text}'
        shutil.rmtree(folder)


KINDS = pytest.mark.parametrize('kind, fresh', [('video', False), ('video', True), ('frames', False), ('frames', True)],
                                ids=['video', 'first video', 'frames', 'first frames'])


@KINDS
@pytest.mark.parametrize('again', [False, True], ids=['once', 'again and again'])
def test_ctrl_c_between_any_two_steps(server, tmp_path, source, soak, kind, fresh, again):
    "The first Ctrl-C cleans up, however often the key is pressed."
    for folder, before, code, text, where in each_step(server, tmp_path, source, soak, kind, fresh,
                                                       partial(disturb.signal_at, number=signal.SIGINT, again=again)):
        assert (code, text) == (-signal.SIGINT, '') and not parts(folder), where
        new = is_new(folder, before, RUNS[kind][0])
        if fresh and not new: assert [p.name for p in folder.iterdir()] == ['src.mp4'], where


@KINDS
def test_kill_between_any_two_steps(server, tmp_path, source, soak, kind, fresh):
    for folder, before, code, text, where in each_step(server, tmp_path, source, soak, kind, fresh,
                                                       partial(disturb.signal_at, number=signal.SIGKILL)):
        assert (code, text) == (-signal.SIGKILL, ''), where
        if fresh: before = {k: v for k, v in tree(folder).items() if k == 'out-stills'} | before
        check_next_runs(server, folder, before, kind)


@KINDS
def test_interrupted_notebook_between_any_two_steps(server, tmp_path, source, soak, kind, fresh):
    "In a notebook, Ctrl-C is an exception. If it interrupts the cleanup, the next run finishes it."
    for folder, before, code, text, where in each_step(server, tmp_path, source, soak, kind, fresh, disturb.interrupt_at):
        assert code == 70 and text.strip().endswith('KeyboardInterrupt'), where
        if fresh: before = {k: v for k, v in tree(folder).items() if k == 'out-stills'} | before
        check_next_runs(server, folder, before, kind)


ON_IMPORT = """
import os, signal, sys
name = sys.argv.pop(1)
def hook(event, args):
    if event == 'import' and args[0] == name: os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
{}
sys.argv[0] = 'bgblur'
from bgblur.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize('name', ['typer', 'cv2', 'av', 'onnxruntime'])
def test_ctrl_c_while_a_library_is_loading(place, name):
    before = tree(place)
    result = subprocess.run([sys.executable, '-c', ON_IMPORT.format(''), name, 'video', 'src.mp4', '-o', 'new.mp4'],
                            cwd=place, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, '', '')
    assert tree(place) == before and not parts(place)


def test_ctrl_c_while_python_ends(place):
    at_end = "import atexit, threading; [f(os.kill, os.getpid(), signal.SIGINT) for f in (atexit.register, threading._register_atexit)]"
    result = subprocess.run([sys.executable, '-c', ON_IMPORT.format(at_end), '-', 'video', 'src.mp4', '-o', 'new.mp4', '-q'],
                            cwd=place, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, '', '')
    assert complete(place/'new.mp4') and not parts(place)


@pytest.mark.parametrize('ignored', [False, True], ids=['closed terminal', 'nohup'])
def test_closed_terminal(server, place, ignored):
    "A closed terminal ends the run, except under nohup."
    before = tree(place)
    result = server(partial(disturb.command, 'video', 'src.mp4', '-o', 'new.mp4', '-q', fault=partial(disturb.hang_up, ignored)), place)
    assert result == (0 if ignored else -signal.SIGHUP, '') and not parts(place)
    if ignored: assert complete(place/'new.mp4')
    else: assert tree(place) == before


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_benchmark_cleans_up(tmp_path, source, number):
    process = subprocess.Popen([BIN/'bgblur', 'bench', source, '--frames', '10'], env=os.environ | {'TMPDIR': str(tmp_path)},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not [*tmp_path.glob('*/clip.mkv')] and process.poll() is None: time.sleep(.001)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number and 'Traceback' not in err and not [*tmp_path.iterdir()], err


# -- several runs ------------------------------------------------------------------------------------------------------

def test_two_runs_in_one_folder(place, server):
    "The second run keeps the files of the running one, and removes those of a killed one."
    left = place/'.gone.bgblur-01234567.part'
    (left/'new').mkdir(parents=True)
    first = subprocess.Popen([BIN/'bgblur', 'video', 'src.mp4', '-o', 'first.mp4', '-q'], cwd=place)
    while not (found := [*place.glob('.first*.part/new')]) and first.poll() is None: time.sleep(.001)
    first.send_signal(signal.SIGSTOP)
    try:
        assert server(partial(disturb.api, 'out.mp4', overwrite=True), place) == (0, '')
        assert found[0].exists() and not left.exists()
        # and no other user can open it
        assert [oct(p.stat().st_mode)[-3:] for p in (found[0], found[0].parent)] == ['600', '700']
    finally: first.send_signal(signal.SIGCONT)
    assert first.wait(60) == 0
    assert complete(place/'first.mp4') and complete(place/'out.mp4') and not parts(place)


def test_threads_in_one_folder(tmp_path):
    def write(i):
        for n in range(50):
            with atomic_file(tmp_path/f'{i}.txt') as tmp: tmp.write_text(f'{i} {n}')
    with ThreadPoolExecutor(4) as pool: list(pool.map(write, range(4)))
    assert tree(tmp_path) == {f'{i}.txt': f'{i} 49'.encode() for i in range(4)} and not parts(tmp_path)


@pytest.mark.parametrize('when', ['before', 'within', 'while'])
def test_new_folder_is_removed_before_it_is_locked(tmp_path, monkeypatch, when):
    "Another run may remove a new temporary folder before it is locked, because it looks abandoned."
    lock, tried = files._try_lock, []

    def late(folder, ours):
        if ours: tried.append(folder)
        if not ours or len(tried) > 1: return lock(folder, ours)
        if when == 'before': files.remove_abandoned(tmp_path)
        if when == 'while':
            # the other run has the lock, but has not removed anything yet
            held.append(lock(folder, False))
        if when == 'within':
            # it removes the lock file that we have already opened
            monkeypatch.setattr(files.os, 'fstat', lambda fd: (monkeypatch.undo(), (folder/'lock').unlink(), os.fstat(fd))[2])
        return lock(folder, ours)
    held = []
    monkeypatch.setattr(files, '_try_lock', late)
    with atomic_file(tmp_path/'a.txt') as tmp:
        assert tmp.parent != tried[0]
        tmp.write_text('all')
    for fd in held: os.close(fd)
    files.remove_abandoned(tmp_path)
    assert tree(tmp_path) == {'a.txt': b'all'} and not parts(tmp_path)


@pytest.mark.parametrize('how', ['no locks here', 'Windows'])
def test_without_locks_nothing_is_removed(tmp_path, monkeypatch, how):
    def flock(*args): raise OSError(errno.ENOTSUP, 'Operation not supported')
    monkeypatch.setattr(files, 'fcntl', None if how == 'Windows' else SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4))
    (left := tmp_path/'.gone.bgblur-01234567.part').mkdir()
    with atomic_file(tmp_path/'a.txt') as tmp: tmp.write_text('all')
    assert (tmp_path/'a.txt').read_text() == 'all' and parts(tmp_path) == [left]


def test_only_our_own_folders_are_removed(tmp_path):
    "Folders with other names stay, and so does the target of a link."
    (tmp_path/'elsewhere').mkdir()
    (tmp_path/'elsewhere'/'precious').write_text('')
    (tmp_path/'.a.bgblur-01234567.part').symlink_to('elsewhere')
    (tmp_path/'.b.bgblur-01234567.part').write_text('a file')
    for name in ('c.bgblur-01234567.part', '.d.bgblur-0123456.part', '.e.part', '.f.bgblur-01234567.part.d'): (tmp_path/name).mkdir()
    before = sorted(tmp_path.rglob('*'))
    (tmp_path/'.Grüße\n😀.bgblur-01234567.part').mkdir()
    files.remove_abandoned(tmp_path)
    assert sorted(tmp_path.rglob('*')) == before


def test_long_names(tmp_path):
    "A name may have 255 bytes, and the temporary name must not be longer."
    name = '😀'*62 + '.mp4'
    with atomic_file(tmp_path/name) as tmp: tmp.write_text('')
    with atomic_folder(tmp_path/name[:62]) as tmp: pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [name[:62], name]


# -- disks -------------------------------------------------------------------------------------------------------------

FULL = 'No space left on device'
DESTINATIONS = ['out.mp4', 'out.mkv', 'out.webm', 'out.avi', 'out.gif', 'out.mov', 'frames']


@pytest.fixture
def disk(tmp_path):
    "Yield the folder of a small disk, and a function that changes its size or permissions."
    (folder := tmp_path/'disk').mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', str(folder)]
    if not shutil.which('mount') or subprocess.run(mount, capture_output=True).returncode: pytest.skip('only root can mount a small disk')
    yield folder, lambda what: subprocess.run(['mount', '-o', f'remount,{what}', str(folder)], check=True)
    subprocess.run(['umount', '-l', str(folder)], check=True)


def make(server, place, dst, fault=None, **options):
    "Make `dst` and return exit code and output. Check that a refusal is one sentence and changes nothing."
    folders = {dst.parent, place}
    before = [tree(f) for f in folders]
    result = server(partial(disturb.api, str(dst), fault, overwrite=True, **options), place)
    assert not any(map(parts, folders)), result
    if result == (0, ''): assert complete(dst)
    else:
        one_sentence(result, 'cannot be written')
        assert [tree(f) for f in folders] == before, result
    return result


@pytest.mark.parametrize('name, stills', [*((name, 0) for name in DESTINATIONS), ('out.mp4', 1), ('frames', 1)])
def test_full_disk(server, place, disk, soak, name, stills):
    "The disk is too small for the first packet, the last one, the trailer or +faststart, or just large enough."
    folder, remount = disk
    dst = folder/name

    def used(): return sum(-(-p.stat().st_size//4096)*4 for p in folder.rglob('*') if p.is_file())     # in kB
    assert make(server, place, dst, stills=stills)[0] == 0
    need, found = used(), []
    for p in folder.iterdir(): p.unlink() if p.is_file() else shutil.rmtree(p)
    (folder/'out.mp4').write_bytes(b'an old video')
    sizes = range(8, need + 40, 4)
    for size in sizes if soak else sorted({8, *random.Random(name).sample(sizes, 1), need - 4, need + 36}):
        remount(f'size={size}k')
        code, text = make(server, place, dst, stills=stills)
        assert code == 0 or FULL in text, (size, text)
        found.append(code)
        for p in folder.iterdir():
            if p.is_dir(): shutil.rmtree(p)
            elif p.name != 'out.mp4': p.unlink()
        (folder/'out.mp4').write_bytes(b'an old video')
    assert found[0] == 2 and found[-1] == 0, found


@pytest.mark.parametrize('name', DESTINATIONS)
def test_quota(server, place, soak, name):
    "Files have a maximum size."
    (place/'new').mkdir()
    dst = place/'new'/name
    assert make(server, place, dst) == (0, '')
    largest = max(p.stat().st_size for p in [dst, *dst.glob('*')] if p.is_file())
    rng = random.Random(name)
    for size in [*(rng.randrange(1000, largest) for _ in range(20 if soak else 0)), largest - 1, largest]:
        code, text = make(server, place, dst, partial(disturb.quota, size))
        assert code == (0 if size == largest else 2) and (code == 0 or 'File too large' in text), (size, text)


def test_disk_that_reports_late_that_it_is_full(tmp_path, monkeypatch):
    "Network drives report a full disk only at fsync."
    def fsync(fd): raise OSError(errno.EDQUOT, 'Disk quota exceeded')
    monkeypatch.setattr(os, 'fsync', fsync)
    with pytest.raises(VideoError, match='a.txt cannot be written: Disk quota exceeded.'):
        with atomic_file(tmp_path/'a.txt') as tmp: tmp.write_text('all')
    assert not [*tmp_path.iterdir()]


@KINDS
def test_full_disk_at_any_step(server, tmp_path, source, soak, kind, fresh):
    "If only the cleanup fails, the next run finishes it."
    for folder, before, code, text, where in each_step(server, tmp_path, source, soak, kind, fresh, disturb.full_at):
        if code: one_sentence((code, text), FULL)
        check_next_runs(server, folder, tree(folder) if fresh else before, kind)


@pytest.fixture
def locked(tmp_path, source, request):
    "Yield a read-only folder with the source and an old video, and the words of the error."
    folder = furnish(tmp_path/'locked', source)
    if os.geteuid():
        folders = [folder, folder/'out-stills', folder/'frames']
        for p in folders: p.chmod(0o500)
        yield folder, 'Permission denied'
        for p in folders: p.chmod(0o700)
        return
    disk, remount = request.getfixturevalue('disk')
    shutil.copytree(folder, disk, dirs_exist_ok=True)
    remount('ro')
    yield disk, 'Read-only file system'


@pytest.mark.parametrize('name', DESTINATIONS)
def test_read_only_folder(server, place, locked, name):
    folder, reason = locked
    assert reason in make(server, place, folder/name)[1]
    assert reason in make(server, place, place/'new.mp4', stills=1, stills_dir=folder/'out-stills')[1]
    assert reason in make(server, place, place/'new.mp4', stills=1, stills_dir=folder/'new'/'stills')[1]


@pytest.mark.parametrize('name, when', [(name, when) for name in DESTINATIONS for when in (0, 3, N) if when == 3 or name != 'out.gif'])
def test_destination_is_removed_while_it_is_written(server, place, name, when):
    "The folder, the temporary folder or only the file disappears, before the first frame, midway or after the last one."
    before = tree(place)
    (place/'to').mkdir()
    result = server(partial(disturb.api, f'to/{name}', partial(disturb.at_frame, when, shutil.rmtree, 'to')), place)
    one_sentence(result, f'to/{name} cannot be written', 'No such file')
    assert tree(place) == before
    result = server(partial(disturb.api, name, partial(disturb.at_frame, when, disturb.delete_new if when == 3 else disturb.delete_parts),
                            overwrite=True), place)
    one_sentence(result, f'{name} cannot be written', 'No such file')
    assert tree(place) == before and not parts(place)


@pytest.mark.parametrize('when', [0, 3, N])
@pytest.mark.parametrize('name, does, overwrite, word', [
    ('out.mp4', disturb.into_folder, True, 'Is a directory'),
    ('new.mp4', disturb.into_folder, False, 'in the meantime'),
    ('new.mp4', disturb.into_file, False, 'in the meantime'),
    ('frames', disturb.into_folder, True, 'other than frames'),
    ('frames', disturb.into_file, True, 'is a file'),
    ('new', disturb.into_frames, False, 'already contains frames'),
])
def test_something_else_appears_at_the_destination(server, place, tmp_path, monkeypatch, name, does, overwrite, word, when):
    "A file or folder that appears during the run stays."
    monkeypatch.chdir(shutil.copytree(place, tmp_path/'expected'))
    does(name)
    result = server(partial(disturb.api, name, partial(disturb.at_frame, when, does, name), overwrite=overwrite), place)
    one_sentence(result, name, word)
    assert tree(place) == tree(tmp_path/'expected') and not parts(place)


def test_stills_folder_is_removed_while_it_is_written(server, place):
    before = {k: v for k, v in tree(place).items() if not k.startswith('out-stills')}
    for when in (1, 3):
        result = server(partial(disturb.api, 'out.mp4', partial(disturb.at_frame, when, shutil.rmtree, 'out-stills'), overwrite=True, stills=1), place)
        one_sentence(result, 'Stills cannot be written into out-stills', 'No such file')
        assert tree(place) == before
        (place/'out-stills').mkdir()


def test_command_reports_faults(place, server, frames):
    "Repeat some of the tests above with the command and the model."
    before = tree(place)
    for args, fault in [(['-o', 'out.mp4'], partial(disturb.quota, 2000)),
                        (['-o', 'out.mp4'], partial(disturb.at_frame, 3, disturb.delete_parts)),
                        (['-b', 'none', '-o', 'frames'], partial(disturb.at_frame, 3, disturb.delete_parts))]:
        code, text = server(partial(disturb.command, 'video', 'src.mp4', '--overwrite', '-q', *args, fault=fault), place)
        one_sentence((code, text), args[-1], 'File too large' if fault.func is disturb.quota else 'No such file')
        assert text.startswith('bgblur: ') and tree(place) == before and not parts(place)
    cv2.imwrite(str(place/'me.png'), frames[0])
    before = tree(place)
    code, text = server(partial(disturb.command, 'image', 'me.png', '-o', 'new.png', fault=partial(disturb.quota, 2000)), place)
    one_sentence((code, text), 'bgblur: new.png', 'File too large')
    assert tree(place) == before and not parts(place)
