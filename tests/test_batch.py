"Many files: names, failures, crashes, kills and resuming. Clips are short, because each run starts new processes."
import contextlib
import csv
import fcntl
import json
import os
import pty
import random
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from functools import partial
from pathlib import Path

import disturb
import cv2
import psutil
import pytest
from conftest import BIN, bgblur, one_sentence, read_frames, run, until, write_clip

import bgblur as package
from bgblur.io.journal import Journal
from bgblur.io.watch import Arrivals
from bgblur.core.errors import BgblurError
from bgblur.core.presets import load_preset
from bgblur.core.settings import Encoding, Settings

N = 8       # frames of a clip
batch = partial(package.batch, progress=False)


@pytest.fixture(scope='session')
def clips(tmp_path_factory, frames):
    "Make a folder of short clips and an image."
    folder = tmp_path_factory.mktemp('clips')
    for i, name in enumerate(['2023/a.mp4', '2023/b.mkv', '2024/a.mp4', '2024/c.mov']):
        (folder/name).parent.mkdir(exist_ok=True)
        write_clip(folder/name, [cv2.resize(f, (160, 120)) for f in frames[N*i:N*i + N]], audio=None)
    cv2.imwrite(str(folder/'2024'/'title.png'), cv2.resize(frames[0], (160, 120)))
    return folder


@pytest.fixture
def place(tmp_path, clips, monkeypatch):
    "Return a folder with these clips in the folder talks, and work in it."
    shutil.copytree(clips, tmp_path/'talks')
    monkeypatch.chdir(tmp_path)
    return tmp_path


RESULTS = ['2023/a-blurred.mp4', '2023/b-blurred.mkv', '2024/a-blurred.mp4', '2024/c-blurred.mov', '2024/title-blurred.png']


def tree(folder): return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob('*') if p.is_file())


def results(folder): return [name for name in tree(folder) if name != '.bgblur.jsonl']


def contents(folder):
    "Return the contents of all results. Matroska files contain random numbers, so of these the frames."
    return {name: [f.tobytes() for f in read_frames(folder/name)] if name.endswith('.mkv') else (folder/name).read_bytes() for name in results(folder)}


def states(jobs): return {job.src.relative_to('talks').as_posix(): job.state for job in jobs}


# -- what is done -----------------------------------------------------------------------------------------------------

def test_same_results_as_single_runs(place):
    "A worker is used for many files, and nothing of one file shows in the next one."
    result = bgblur('batch', 'talks', '--to', 'out', '--workers', 1, '--threads', 1, '--report', 'all.json')
    assert (result.returncode, result.stderr) == (0, '') and results('out') == RESULTS
    assert result.stdout.endswith('5 done\n')
    for command, name in (('video', '2023/b.mkv'), ('video', '2024/c.mov'), ('image', '2024/title.png')):
        assert bgblur(command, f'talks/{name}', '-q', env=os.environ | {'BGBLUR_THREADS': '1'}).returncode == 0
    alone = {name: data for name, data in contents(Path('talks')).items() if '-blurred' in name}
    assert len(alone) == 3 and alone == {name: data for name, data in contents(Path('out')).items() if name in alone}
    rows = json.loads(Path('all.json').read_text())
    assert [row['state'] for row in rows] == ['done']*5 and [row['frames'] for row in rows] == [N]*4 + [1]


@pytest.fixture
def bad(place):
    "Add files that cannot be processed."
    clip = (place/'talks'/'2023'/'a.mp4').read_bytes()
    (place/'talks'/'2023'/'cut.mp4').write_bytes(clip[:900])
    (place/'talks'/'2023'/'empty.mp4').write_bytes(b'')
    (place/'talks'/'2024'/'text.jpg').write_text('This is not an image.')
    (place/'talks'/'notes.txt').write_text('This is not a clip.')
    return place


def test_bad_files_among_good_ones(bad):
    result = bgblur('batch', 'talks', '--to', 'out', '--report', 'all.csv', '--workers', 2)
    assert result.returncode == 1 and results('out') == RESULTS
    assert '5 done' in result.stdout and '3 failed' in result.stdout
    assert len(result.stderr.splitlines()) == 3 and 'Traceback' not in result.stderr
    rows = list(csv.DictReader(Path('all.csv').read_text().splitlines()))
    failed = {Path(row['source']).name: row['error'] for row in rows if row['state'] == 'failed'}
    assert len(rows) == 8 and sorted(failed) == ['cut.mp4', 'empty.mp4', 'text.jpg']
    for name, error in failed.items(): assert name in error and error.endswith('.')
    assert all(row['error'] == '' and float(row['fps']) > 0 and row['tries'] == '1' for row in rows if row['state'] == 'done')


def test_incomplete_result(place):
    "A clip that ends early has a result, and every run says what is missing."
    src = place/'talks'/'2023'/'b.mkv'
    src.write_bytes(src.read_bytes()[:-1500])
    for state in ('done', 'skipped'):
        [job] = batch(src, 'out')
        assert (job.state, job.is_complete) == (state, False) and 'ended early' in job.error


def test_fail_fast(bad):
    result = bgblur('batch', 'talks/2023', '--to', 'out', '--workers', 1, '--fail-fast', '--report', 'all.json')
    assert result.returncode == 1 and results('out') == ['a-blurred.mp4', 'b-blurred.mkv']
    assert [row['state'] for row in json.loads(Path('all.json').read_text())] == ['done', 'done', 'failed', 'stopped']


def test_dry_run_writes_nothing(bad):
    before = tree('.')
    result = bgblur('batch', 'talks', '--to', 'out', '--dry-run', '--report', 'all.json')
    assert result.returncode == 0 and tree('.') == before and not Path('out').exists()
    assert 'talks/2024/c.mov: planned, out/2024/c-blurred.mov' in result.stdout and '8 planned' in result.stdout


def test_list_and_pattern(place):
    Path('list.txt').write_text('talks/2024/title.png\n\n')
    result = bgblur('batch', '--list', 'list.txt', '--to', 'out', '--dry-run')
    assert result.stdout.splitlines()[0] == 'talks/2024/title.png: planned, out/talks/2024/title-blurred.png'
    result = bgblur('batch', 'talks/*/title.png', '--list', '-', '--to', 'out', '--dry-run', input=f'{place}/talks/2023/a.mp4')
    assert result.stdout.splitlines()[:2] == ['talks/2024/title.png: planned, out/2024/title-blurred.png',
                                              f'{place}/talks/2023/a.mp4: planned, out/a-blurred.mp4']


# -- what is refused --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('args, words', [
    (['talks/2023/a.mp4', 'talks/2024/a.mp4'], ['would both be written', 'a-blurred.mp4']),
    (['nowhere.mp4'], ['no file nowhere.mp4']),
    (['*.wmv'], ['No file matches']),
    (['--list', 'nowhere.txt'], ['nowhere.txt']),
    ([], ['SRC is missing']),
    (['talks', '--memory', 'much'], ['800MB']),
    (['talks', '--report', 'all.txt'], ['.json or .csv']),
    (['talks', '--report', 'no/all.csv'], ['cannot be written']),
    (['talks', '-b', 'gren'], ['not a background']),
    (['talks', '--model', 'preson'], ['no model']),
    (['talks', '--preset-file', 'no.toml'], ['no.toml']),
], ids=lambda v: ' '.join(map(str, v)))
def test_usage_errors(place, args, words):
    before = tree('.')
    one_sentence(bgblur('batch', *args, '--to', 'out'), *words)
    assert tree('.') == before and not Path('out').exists()


def test_files_of_the_user_stay(place):
    "Neither a file in the output folder nor a source is replaced."
    Path('out').mkdir()
    Path('out/a-blurred.mp4').write_text('precious')
    one_sentence(bgblur('batch', 'talks/2023', '--to', 'out'), 'no earlier run', '--overwrite')
    assert results('out') == ['a-blurred.mp4'] and Path('out/a-blurred.mp4').read_text() == 'precious'
    with pytest.raises(BgblurError, match='would replace'): batch(['talks/2023/a.mp4', 'out/a-blurred.mp4'], 'out')
    Path('out/a-blurred.mp4').unlink()
    Path('out/a-blurred.mp4').symlink_to('../talks/2023/a.mp4')
    with pytest.raises(BgblurError, match='would replace'): batch('talks/2023/a.mp4', 'out', overwrite=True)
    Path('talks/2023/all.json').write_bytes(Path('talks/2024/title.png').read_bytes())
    with pytest.raises(BgblurError, match='a source'): batch('talks/2023', 'new', report='talks/2023/all.json')
    Path('file').write_text('')
    with pytest.raises(BgblurError): batch('talks/2023', 'file')


def test_results_are_no_sources(place):
    "The output folder may be the source folder, or within it."
    for to, n in (('talks', 1), ('talks/sub', 1), ('talks', 1)):
        assert len(list(batch('talks/2024/*.png', to))) == n
    assert [job.src.name for job in batch('talks/2024', 'talks/2024', dry_run=True)] == ['a.mp4', 'c.mov', 'title.png']
    assert {job.src.as_posix() for job in batch('talks', 'talks', dry_run=True)} == {f'talks/{name}'.replace('-blurred', '') for name in RESULTS} | \
        {'talks/sub/title-blurred.png'}


# -- resume -----------------------------------------------------------------------------------------------------------

def test_what_is_done_again(place):
    image = 'talks/2024/title.png'

    def state(**kwargs): return [job.state for job in batch(image, 'out', **kwargs)]
    assert [state() for _ in range(2)] == [['done'], ['skipped']]
    assert [state(settings=Settings(strength=31)) for _ in range(2)] == [['done'], ['skipped']]
    # the options of a clip do not matter to an image
    assert state(settings=Settings(strength=31), encoding=Encoding('small'), start=1) == ['skipped']
    assert state(settings=Settings(strength=31), resume=False) == ['done']
    os.utime(image)
    assert state(settings=Settings(strength=31)) == ['done']
    Path('out/title-blurred.png').write_bytes(b'changed')
    assert state(settings=Settings(strength=31)) == ['done']
    Path('out/title-blurred.png').unlink()
    assert state(settings=Settings(strength=31)) == ['done']
    # a background with the same name and another content
    shutil.copy(image, 'wall.png')
    assert [state(settings=Settings('wall.png')) for _ in range(2)] == [['done'], ['skipped']]
    cv2.imwrite('wall.png', cv2.imread('wall.png')[::-1])
    assert state(settings=Settings('wall.png')) == ['done']


def test_torn_journal(place):
    images = ['talks/2024/title.png', 'second.png']
    shutil.copy(images[0], images[1])
    assert [job.state for job in batch(images, 'out', workers=1)] == ['done', 'done']
    journal = Path('out/.bgblur.jsonl')
    whole = journal.read_bytes()
    # the last line is torn: the file is ours, but not known to be done
    journal.write_bytes(whole[:-30])
    assert sorted(job.state for job in batch(images, 'out')) == ['done', 'skipped']
    assert [job.state for job in batch(images, 'out')] == ['skipped']*2
    assert len(Journal(Path('out')).done) == 2


# a job is in the journal, a clip is being written, the first result is there, the third result is there
MOMENTS = '.bgblur.jsonl', '**/.*.part/new', '2023/a-blurred.mp4', '2024/a-blurred.mp4'


def start(*args):
    "Start `bgblur batch talks --to out`."
    return subprocess.Popen([BIN/'bgblur', 'batch', 'talks', '--to', 'out', '--threads', '1', *args], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def worker_processes(process):
    return [p for p in psutil.Process(process.pid).children() if 'spawn_main' in ' '.join(p.cmdline())]


def has_ended(process):
    "Tell whether a process of psutil has ended. If no parent collects its exit code, it stays as a zombie."
    try: return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess: return True


def wait_for(process, pattern):
    until(lambda: list(Path('out').glob(pattern)) or process.poll() is not None, pattern)


def test_main_process_is_killed(place, soak):
    "Kill the main process at these moments, one run after the other. Then the next run ends with the same files."
    for moment in [*MOMENTS, *(random.uniform(.2, 4) for _ in range(30*soak))]:
        process = start('--workers', '1')
        if isinstance(moment, str): wait_for(process, moment)
        else: time.sleep(moment)
        workers = worker_processes(process) if process.poll() is None else []
        process.kill()
        process.communicate()
        until(lambda: all(map(has_ended, workers)), 'a worker still runs')
        assert not [*Path('out').rglob('*.part')]
    process = start('--workers', '2')
    assert process.communicate()[1] == '' and process.returncode == 0
    assert list(batch('talks', 'whole', threads=1, workers=1)) and contents(Path('out')) == contents(Path('whole'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals(place, number):
    "Ctrl-C reaches the workers as well. Everything ends, and what is done stays done."
    process = subprocess.Popen([BIN/'bgblur', 'batch', 'talks', '--to', 'out', '--workers', '1', '--report', 'all.json'], start_new_session=True,
                               stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(process, '2023/a-blurred.mp4')
    # the journal gets its line a moment after the file has its name
    until(lambda: '"key"' in Path('out/.bgblur.jsonl').read_text() or process.poll() is not None, 'no result')
    workers = worker_processes(process)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, err) == (128 + number, '')
    assert all(map(has_ended, workers)) and not [*Path('out').rglob('*.part')]
    rows = {Path(row['source']).name: row['state'] for row in json.loads(Path('all.json').read_text())}
    assert len(rows) == 4 and 'stopped' in rows.values()
    assert states(batch('talks', 'out'))['2023/a.mp4'] == 'skipped'


# -- crashes ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def crashing(place, monkeypatch):
    "Return a function that lets workers call another function, and runs a batch of three clips, of which bad.mp4 is the first."
    Path('few').mkdir()
    for name in ('bad.mp4', 'c.mp4', 'd.mp4'): shutil.copy('talks/2023/a.mp4', f'few/{name}')
    Path('crash').touch()

    def run_batch(function, **kwargs):
        monkeypatch.setattr(sys.modules['bgblur.batch'], 'process', function)
        return {job.src.name: job for job in batch('few', 'out', workers=1, **kwargs)}
    return run_batch


@pytest.mark.parametrize('number, frame', [(signal.SIGSEGV, 0), (signal.SIGKILL, N)])
def test_worker_dies_once(crashing, number, frame):
    jobs = crashing(partial(disturb.crash_once, number, frame), report='all.csv')
    assert [(name, job.state, job.tries) for name, job in jobs.items()] == [('c.mp4', 'done', 1), ('d.mp4', 'done', 1), ('bad.mp4', 'done', 2)]
    assert tree('out') == ['.bgblur.jsonl', 'bad-blurred.mp4', 'c-blurred.mp4', 'd-blurred.mp4'] and not [*Path('out').rglob('*.part')]
    assert Path('out/bad-blurred.mp4').read_bytes() == Path('out/c-blurred.mp4').read_bytes()


def test_worker_dies_always(crashing):
    jobs = crashing(disturb.crash_always, retries=1)
    assert {name: (job.state, job.tries) for name, job in jobs.items()} == {'bad.mp4': ('failed', 2), 'c.mp4': ('done', 1), 'd.mp4': ('done', 1)}
    assert 'SIGSEGV' in jobs['bad.mp4'].error and results('out') == ['c-blurred.mp4', 'd-blurred.mp4'] and not [*Path('out').rglob('*.part')]


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux limits memory')
def test_memory_limit(crashing):
    jobs = crashing(disturb.use_memory, retries=0, memory=10**9)
    assert {name: job.state for name, job in jobs.items()} == {'bad.mp4': 'failed', 'c.mp4': 'done', 'd.mp4': 'done'}
    assert 'not enough memory' in jobs['bad.mp4'].error


def test_loop_is_left_early(place):
    for job in batch('talks', 'out', workers=2): break
    assert job.state == 'done' and not [*Path('out').rglob('*.part')]
    assert not [p for p in psutil.Process().children() if 'spawn_main' in ' '.join(p.cmdline())]


SLEEP = """
import time
from bgblur.io.workers import Workers

if __name__ == '__main__':
    with Workers() as workers:
        workers.submit('sleep', time.sleep, 1000)
        while not workers.workers[0].is_ready: workers.wait()
        print(workers.workers[0].process.pid, flush=True)
        workers.wait()
"""


def test_worker_ends_with_its_main_process(place):
    "A worker ignores Ctrl-C, but ends if its main process is gone, also in the middle of a task."
    Path('sleep.py').write_text(SLEEP)
    main = subprocess.Popen([sys.executable, 'sleep.py'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    worker = psutil.Process(int(main.stdout.readline()))
    worker.send_signal(signal.SIGINT)
    time.sleep(.5)
    assert not has_ended(worker)
    main.kill()
    until(lambda: has_ended(worker), 'the worker still runs')
    assert main.communicate()[1] == ''


def test_script_without_main(place):
    "A script that does not protect its call gets one error."
    Path('script.py').write_text("from bgblur import batch\nprint(list(batch('talks', 'out', progress=False)))")
    result = run(sys.executable, 'script.py')
    assert result.returncode == 1 and "if __name__ == '__main__'" in result.stderr.strip().splitlines()[-1]


# -- several sources of the other commands, and presets ------------------------------------------------------------------

def test_several_videos_and_images(bad):
    result = bgblur('video', 'talks/2023/a.mp4', 'talks/2023/cut.mp4', 'talks/2024/c.mov')
    assert result.returncode == 1 and [line.split(':')[0] for line in result.stdout.splitlines()] == ['talks/2023/a-blurred.mp4', 'talks/2024/c-blurred.mov']
    assert 'cut.mp4' in result.stderr.splitlines()[-1] and 'Traceback' not in result.stderr
    assert len(read_frames(Path('talks/2024/c-blurred.mov'))) == N
    shutil.copy('talks/2024/title.png', 'other.png')
    result = bgblur('image', 'talks/2024/title.png', 'other.png')
    assert (result.returncode, result.stdout) == (0, 'talks/2024/title-blurred.png\nother-blurred.png\n')
    # one image does not show in the next one
    assert Path('talks/2024/title-blurred.png').read_bytes() == Path('other-blurred.png').read_bytes()


@pytest.mark.parametrize('args, words', [
    (['video', 'talks/2023/a.mp4', 'talks/2024/a.mp4', '-o', 'a.mp4'], ['-o', 'several sources']),
    (['image', 'talks/2024/title.png', 'talks/2024/title.png', '-o', 'a.png'], ['-o', 'several sources']),
    (['video', 'talks/2023/a.mp4', 'talks/2023/a.mp4'], ['would both be written']),
    (['video', 'talks/2023/a.mp4', 'talks/2024/c.mov', '--stills', 2, '--stills-dir', 's'], ['--stills-dir', 'several sources']),
    (['video', 'talks/2023/a.mp4', 'nowhere.mp4'], ['no file nowhere.mp4']),
], ids=lambda v: ' '.join(map(str, v)))
def test_several_sources_are_refused(place, args, words):
    before = tree('.')
    one_sentence(bgblur(*args), *words)
    assert tree('.') == before


def test_preset(place):
    image = 'talks/2024/title.png'
    assert bgblur('image', image, '-o', 'a.png', '-b', 'green', '--edge', 3, '--save-preset', 'green.toml').returncode == 0
    assert load_preset('green.toml') == (Settings('green', edge=3), Encoding())
    assert bgblur('image', image, '-o', 'b.png', '--preset-file', 'green.toml').returncode == 0
    assert Path('a.png').read_bytes() == Path('b.png').read_bytes()
    # the options of the command line are stronger, and they determine what is done again
    assert bgblur('batch', image, '--to', 'out', '--preset-file', 'green.toml').returncode == 0
    assert [job.state for job in batch(image, 'out', Settings('green', edge=3))] == ['skipped']
    assert '1 planned' in bgblur('batch', image, '--to', 'out', '--preset-file', 'green.toml', '--edge', 0, '--dry-run').stdout
    Path('bad.toml').write_text('[settings]\nstrenght = 3\n')
    for command in (['image', image], ['live', '--source', 'talks/2023/a.mp4', '--to', 'none']):
        one_sentence(bgblur(*command, '--preset-file', 'bad.toml'), 'bad.toml', "'strenght'")
    one_sentence(bgblur('image', image, '-o', 'c.png', '--save-preset', image), 'not a preset')
    assert not Path('c.png').exists()


def test_bars_on_a_terminal(place):
    "A terminal shows one bar for all files, and one for each running clip. Elsewhere there are only lines."
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 100, 0, 0))
    process = subprocess.Popen([BIN/'bgblur', 'batch', 'talks/2023', '--to', 'out', '--workers', '1'], stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b''
    with contextlib.suppress(OSError):      # Linux reports the end as an error
        while data := os.read(ours, 9999): text += data
    os.close(ours)
    assert process.wait() == 0
    assert '2/2 files' in text.decode() and 'b.mkv:   0%' in text.decode() and 'out/a-blurred.mp4: 8 frames' in text.decode()


# -- a watched folder -------------------------------------------------------------------------------------------------

def test_watch(place):
    "Files are taken as they arrive, and only when they have stopped growing. One bad file does not end the run."
    Path('inbox/deep').mkdir(parents=True)
    shutil.copy('talks/2023/a.mp4', 'inbox/early.mp4')
    with open('err.txt', 'w') as f:
        process = subprocess.Popen([BIN/'bgblur', 'batch', '--watch', 'inbox', '--to', 'out', '--workers', '1', '--report', 'all.json'],
                                   stderr=f, stdout=subprocess.DEVNULL)

    def told(*words): return process.poll() is not None or all(word in Path('err.txt').read_text() for word in words)
    until(lambda: told('watching inbox. Press Ctrl-C to stop.'))
    # this clip arrives in pieces
    data = Path('talks/2024/c.mov').read_bytes()
    with open('inbox/deep/slow.mov', 'wb') as f:
        for i in range(8):
            f.write(data[i*len(data)//8:(i + 1)*len(data)//8])
            f.flush()
            time.sleep(1)
        assert not Path('out/deep').exists()
    until(lambda: Path('out/deep/slow-blurred.mov').exists() or process.poll() is not None, 'the slow clip has no result')
    Path('inbox/notes.mp4').write_text('not a clip')
    shutil.copy('talks/2023/a.mp4', 'inbox/early.wmv')      # its result would also be early-blurred.mp4
    until(lambda: told('notes.mp4', 'would both be written'))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT and results('out') == ['deep/slow-blurred.mov', 'early-blurred.mp4']
    assert len(read_frames(Path('out/deep/slow-blurred.mov'))) == N
    rows = {row['source']: row['state'] for row in json.loads(Path('all.json').read_text())}
    assert rows == {'inbox/early.mp4': 'done', 'inbox/deep/slow.mov': 'done', 'inbox/notes.mp4': 'failed', 'inbox/early.wmv': 'failed'}
    # a run without --watch continues
    Path('inbox/early.wmv').unlink()
    assert sorted(job.state for job in batch('inbox', 'out')) == ['failed', 'skipped', 'skipped']
    one_sentence(bgblur('batch', '--watch', 'nowhere', '--to', 'out2'), 'no folder nowhere')
    assert not Path('out2').exists()


def test_watched_results_are_no_sources(place, monkeypatch):
    "Results, mattes and stills in the watched folder are not taken as sources, also not by a later run after the source is gone."
    monkeypatch.setattr(Arrivals.__init__, '__defaults__', (.5,))
    Path('inbox').mkdir()
    shutil.copy('talks/2023/a.mp4', 'inbox/a.mp4')

    def sources(name):
        "Watch until a clip of this name has ended, and for five seconds more."
        found, options = [], {'watch': 'inbox', 'workers': 1, 'matte': '.mp4', 'stills': 4}
        with contextlib.closing(batch([], 'inbox', **options)) as jobs:
            for job in jobs:
                found.append(job.src.name)
                if job.src.name == name: threading.Timer(5, lambda: shutil.copy('talks/2023/a.mp4', 'inbox/last.mp4')).start()
                if job.src.name == 'last.mp4': return found
    assert sources('a.mp4') == ['a.mp4', 'last.mp4']
    for name in ('a.mp4', 'last.mp4'): Path('inbox', name).unlink()
    shutil.copy('talks/2024/a.mp4', 'inbox/b.mp4')
    assert sources('b.mp4') == ['b.mp4', 'last.mp4']


def test_watched_file_that_changes_while_it_is_processed(place, monkeypatch):
    "It is processed again, but only after the first time, because the result of the old file must not appear last."
    Path('inbox').mkdir()
    clip, calls, ready = Path(shutil.copy('talks/2023/a.mp4', 'inbox/a.mp4')), [], Arrivals.ready
    arrivals = Arrivals('inbox', quiet=0)
    assert [f.path for f in arrivals.ready()] == [clip]
    shutil.copy('talks/2024/a.mp4', clip)
    assert arrivals.ready({clip}) == [] and [f.path for f in arrivals.ready()] == [clip]

    def spy(self, busy=()):
        calls.append({*busy})
        return ready(self, busy)
    monkeypatch.setattr(Arrivals, 'ready', spy)
    with contextlib.closing(batch([], 'out', watch='inbox')) as jobs: assert next(jobs).state == 'done'
    assert calls[0] == set() and calls[-1] == {clip}


def test_named_pipe_in_a_folder(place):
    "It is not a clip, and nothing waits for its data."
    os.mkfifo('talks/2023/pipe.mp4')
    os.mkfifo('talks/2023/pipe.png')
    result = bgblur('batch', 'talks/2023', '--to', 'out', '--dry-run', timeout=60)
    assert result.returncode == 0 and result.stdout.splitlines()[-1] == '2 planned'


def test_report_replaces_only_reports(place):
    Path('all.csv').write_text('talks/2023/a.mp4\n')
    Path('mine.json').write_text('{"format": "my model"}')
    Path('empty.json').touch()
    one_sentence(bgblur('batch', '--list', 'all.csv', '--to', 'out', '--report', 'all.csv'), 'all.csv exists and is not a report')
    for path in ('mine.json', 'all.csv'):
        with pytest.raises(BgblurError, match='is not a report'): batch('talks/2023', 'out', report=path)
    assert not Path('out').exists() and Path('all.csv').read_text() == 'talks/2023/a.mp4\n'
    for path in ('empty.json', 'new.csv', 'new.json'):
        for _ in range(2): list(batch('talks/2024/title.png', 'out', report=path))


def test_json(place):
    result = bgblur('batch', 'talks/2024', '--to', 'out', '--json')
    rows = {row['source']: row for row in map(json.loads, result.stdout.splitlines())}
    assert result.returncode == 0 and {row['state'] for row in rows.values()} == {'done'} and rows['talks/2024/title.png']['frames'] == 1


def test_mattes_and_stills(place):
    args = ['batch', 'talks/2024', '--to', 'out', '--matte', '.mkv', '--stills', 4]
    assert bgblur(*args).returncode == 0
    assert results('out') == ['a-blurred-matte.mkv', 'a-blurred-stills/frame_000000.jpg', 'a-blurred-stills/frame_000004.jpg', 'a-blurred.mp4',
                              'c-blurred-matte.mkv', 'c-blurred-stills/frame_000000.jpg', 'c-blurred-stills/frame_000004.jpg', 'c-blurred.mov',
                              'title-blurred-matte.png', 'title-blurred.png']
    assert len(read_frames(Path('out/a-blurred-matte.mkv'))) == N
    assert '3 skipped' in bgblur(*args).stdout
    # none of them is a source of the next run, and a file of the user is not replaced
    one_sentence(bgblur('batch', 'out', '--to', 'out'), 'no image and no clip')
    Path('mine').mkdir()
    Path('mine/title-blurred-matte.png').write_text('precious')
    one_sentence(bgblur('batch', 'talks/2024', '--to', 'mine', '--matte', '.mkv'), 'title-blurred-matte.png exists')
    one_sentence(bgblur('batch', 'talks', '--to', 'new', '--matte', '.gif'), "'.gif'")
    one_sentence(bgblur('batch', 'talks', '--to', 'new', '--matte', '.mkv', '--split', 60), '--split')


def test_file_that_appears_during_the_run(place):
    "A file of the user that was not there when the run began is not replaced either."
    jobs = batch('talks/2024', 'out', workers=1)
    Path('out/c-blurred.mov').write_text('precious')
    found = {job.src.name: job for job in jobs}
    assert {name: job.state for name, job in found.items()} == {'a.mp4': 'done', 'c.mov': 'failed', 'title.png': 'done'}
    assert 'no earlier run' in found['c.mov'].error and Path('out/c-blurred.mov').read_text() == 'precious'
    # and it does not become ours
    with pytest.raises(BgblurError, match='no earlier run'): batch('talks/2024', 'out')
