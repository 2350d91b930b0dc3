"Clusters and object storage: the same results as on this computer, also after kills. Clips are short, and one cluster serves many tests."
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import disturb
import pytest
from conftest import BIN, ROOT, bgblur, one_sentence, until
from moto.server import ThreadedMotoServer
from test_batch import RESULTS, N, clips, contents, place, results  # noqa: F401

import bgblur as package
from bgblur.core.errors import BgblurError
from bgblur.io.cluster import Cluster, local_cluster
from bgblur.io.remote import as_path, files_below, load_bytes, store

batch = partial(package.batch, progress=False)
# workers import tests/disturb.py; one thread, so that results are equal everywhere
ENV = {'PYTHONPATH': os.pathsep.join(map(str, (ROOT, ROOT/'tests'))), 'BGBLUR_THREADS': '1', 'OMP_NUM_THREADS': '1',
       'AWS_ACCESS_KEY_ID': 'key', 'AWS_SECRET_ACCESS_KEY': 'secret', 'AWS_DEFAULT_REGION': 'us-east-1'}


@pytest.fixture(scope='module', autouse=True)
def environment():
    "Start a server that behaves like Amazon's S3. Set the variables of its users, also in this process, which runs the scheduler."
    logging.getLogger('werkzeug').setLevel(logging.ERROR)
    server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    ENV['AWS_ENDPOINT_URL'] = f'http://{host}:{port}'
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENV.items(): patch.setenv(name, value)
        as_path('s3://talks').fs.mkdir('talks')
        yield
    server.stop()


@pytest.fixture(scope='module')
def scheduler(environment):
    with local_cluster(2, **ENV) as address: yield address


# -- a cluster --------------------------------------------------------------------------------------------------------

def test_same_results_as_on_this_computer(place, scheduler):
    "A damaged clip becomes one row of the report, on a cluster as well."
    (place/'talks'/'2023'/'cut.mp4').write_bytes((place/'talks'/'2023'/'a.mp4').read_bytes()[:900])
    list(batch('talks', 'local', workers=2, threads=1))
    result = bgblur('batch', 'talks', '--to', 'out', '--scheduler', scheduler, '--report', 'all.json')
    assert result.returncode == 1 and results('out') == RESULTS and contents(Path('out')) == contents(Path('local'))
    lines = result.stderr.splitlines()
    assert len(lines) == 2 and lines[0].startswith('Dashboard: http://') and 'cut.mp4' in lines[1], lines
    rows = {Path(row['source']).name: row for row in json.loads(Path('all.json').read_text())}
    assert [name for name, row in rows.items() if row['state'] != 'done'] == ['cut.mp4'] and rows['cut.mp4']['error'].endswith('.')
    # the second run skips what is done, whoever did it
    assert sorted(job.state for job in batch('talks', 'local', scheduler=scheduler)) == ['failed'] + ['skipped']*5


@pytest.fixture
def crashing(place, monkeypatch):
    "Return a function that runs a batch of three clips with another function in place of `process`; bad.mp4 is the first."
    Path('few').mkdir()
    for name in ('bad.mp4', 'c.mp4', 'd.mp4'): shutil.copy('talks/2023/a.mp4', f'few/{name}')
    (place/'crash').touch()

    def run_batch(function, stop_when=lambda: False, **kwargs):
        monkeypatch.setattr(sys.modules['bgblur.batch'], 'process', partial(disturb.in_folder, place, function))
        jobs = {}
        for job in batch(place/'few', place/'out', **kwargs):
            jobs[job.src.name] = job
            if stop_when(): break
        return jobs
    return run_batch


def test_killed_worker(crashing, scheduler):
    jobs = crashing(partial(disturb.crash_once, signal.SIGKILL, N), scheduler=scheduler)
    assert {name: (job.state, job.tries) for name, job in jobs.items()} == {'bad.mp4': ('done', 2), 'c.mp4': ('done', 1), 'd.mp4': ('done', 1)}
    assert results('out') == ['bad-blurred.mp4', 'c-blurred.mp4', 'd-blurred.mp4'] and not [*Path('out').rglob('*.part')]


def test_task_that_always_kills_its_worker(crashing, scheduler):
    jobs = crashing(disturb.crash_always, scheduler=scheduler, retries=1)
    assert {name: (job.state, job.tries) for name, job in jobs.items()} == {'bad.mp4': ('failed', 2), 'c.mp4': ('done', 1), 'd.mp4': ('done', 1)}
    assert 'killed' in jobs['bad.mp4'].error and not [*Path('out').rglob('*.part')]


def test_loop_is_left_early(crashing, scheduler):
    "When the loop is left, running tasks stop, and no partial file remains."
    jobs = crashing(disturb.endless, scheduler=scheduler, stop_when=Path('started').exists)
    assert jobs and 'bad.mp4' not in jobs and not [*Path('out').rglob('*.part')]


@pytest.mark.parametrize('args, words', [
    (['--scheduler', 'tls://127.0.0.1:1', '--quiet'], ['tls://127.0.0.1:1', 'TLS configuration']),
    (['--scheduler', 'nowhere', '--threads', 2], ['--threads', 'dask worker']),
    (['--scheduler', 'nowhere', '--memory', '1GB'], ['--memory', 'dask worker']),
], ids=lambda v: ' '.join(map(str, v)))
def test_usage_errors(place, args, words):
    one_sentence(bgblur('batch', 'talks', '--to', 'out', *args), *words)
    assert not Path('out').exists()


def test_another_version(scheduler, monkeypatch):
    monkeypatch.setattr('bgblur.io.cluster.__version__', '0.0.1')
    with pytest.raises(BgblurError, match='install version 0.0.1'): Cluster(scheduler)


@contextlib.contextmanager
def processes(folder):
    "Start `dask scheduler` and `dask worker`. Yield the address, and the process of the scheduler."
    file, started = folder/'scheduler.json', []
    def start(*args): started.append(subprocess.Popen([BIN/'dask', *args, '--scheduler-file', file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    start('scheduler', '--host', '127.0.0.1', '--port', '0', '--dashboard-address', '127.0.0.1:0')
    try:
        until(file.exists, 'the scheduler does not start')
        start('worker', '--nworkers', '1', '--nthreads', '1', '--death-timeout', '5', '--local-directory', folder)
        yield json.loads(file.read_text())['address'], started[0]
    finally:
        for process in started: process.kill()
        for process in started: process.wait()
        file.unlink()


def test_lost_scheduler(place):
    "The command ends with one sentence. The next run goes on, with another scheduler."
    with processes(place) as (address, scheduler):
        command = subprocess.Popen([BIN/'bgblur', 'batch', 'talks', '--to', 'out', '--scheduler', address, '-q'], stderr=subprocess.PIPE, text=True)
        until(lambda: Path('out/.bgblur.jsonl').exists() or command.poll() is not None, 'the run does not start')
        scheduler.kill()
        command.returncode, command.stderr = command.wait(), command.stderr.read()
        one_sentence(command, 'is lost', 'repeat the command')
        until(lambda: not [*Path('out').rglob('*.part')], 'a partial file remains')
    with processes(place) as (address, _): assert {job.state for job in batch('talks', 'out', scheduler=address)} <= {'done', 'skipped'}
    list(batch('talks', 'local', threads=1))
    assert contents(Path('out')) == contents(Path('local'))


# -- object storage ---------------------------------------------------------------------------------------------------

@pytest.fixture
def bucket(place):
    "Return the URL of a folder with the clips."
    url = as_path(f's3://talks/{place.name}')
    for p in (place/'talks').rglob('*'):
        if p.is_file(): store(p, url/'talks'/p.relative_to(place/'talks').as_posix())
    return url


def stored(url, folder):
    "Copy the results at a URL to a folder, and return their contents."
    for name in files_below(url):
        if name.startswith('.bgblur-'): continue
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        (folder/name).write_bytes(load_bytes(url/name))
    return contents(folder)


def test_from_storage_to_storage(bucket, scheduler):
    "Processes on this computer and a cluster write the same results. A damaged clip has one row."
    store(Path(shutil.copy('talks/2024/title.png', 'text.jpg')), bucket/'talks'/'2023'/'cut.mp4')
    result = bgblur('batch', f'{bucket}/talks', '--to', f'{bucket}/one', '--workers', 2, '--threads', 1)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1 and f'{bucket}/talks/2023/cut.mp4' in result.stderr, result.stderr
    jobs = list(batch(bucket/'talks', bucket/'two', scheduler=scheduler))
    assert sorted(job.state for job in jobs) == ['done']*5 + ['failed']
    list(batch('talks', 'local', threads=1))
    local = contents(Path('local'))
    assert stored(bucket/'one', Path('one')) == local and stored(bucket/'two', Path('two')) == local
    # again, and with a source that has changed
    assert sorted(job.state for job in batch(bucket/'talks', bucket/'one', threads=1)) == ['failed'] + ['skipped']*5
    store(Path('talks/2023/a.mp4'), bucket/'talks'/'2024'/'a.mp4')
    again = {job.src.name for job in batch(f'{bucket}/talks/2024/*', bucket/'one'/'2024', threads=1, overwrite=True) if job.state == 'done'}
    assert again == {'a.mp4', 'c.mov', 'title.png'}
    assert {job.state for job in batch(f'{bucket}/talks/2024/*', bucket/'one'/'2024', threads=1)} == {'skipped'}


def test_killed_main_process(bucket):
    "The next run replaces what a killed one has started, and ends with the same results."
    command = subprocess.Popen([BIN/'bgblur', 'batch', f'{bucket}/talks', '--to', f'{bucket}/out', '--workers', '1', '--threads', '1', '-q'])
    until(lambda: [name for name in files_below(bucket/'out') if name in RESULTS] or command.poll() is not None, 'no result')
    command.kill()
    command.wait()
    assert {job.state for job in batch(bucket/'talks', bucket/'out', threads=1)} <= {'done', 'skipped'}
    list(batch('talks', 'local', threads=1))
    assert stored(bucket/'out', Path('out')) == contents(Path('local'))


def test_files_of_the_user_stay(bucket):
    url = bucket/'out'/'title-blurred.png'
    store(Path('talks/2023/a.mp4'), url)
    with pytest.raises(BgblurError, match='no earlier run'): batch(bucket/'talks'/'2024'/'title.png', bucket/'out')
    with pytest.raises(BgblurError, match='would replace'): batch([bucket/'talks'/'2024'/'title.png', url], bucket/'out', overwrite=True)
    assert load_bytes(url) == Path('talks/2023/a.mp4').read_bytes() and len(files_below(bucket/'out')) == 1
    assert [job.state for job in batch(bucket/'talks'/'2024'/'title.png', bucket/'out', overwrite=True)] == ['done']


@pytest.mark.parametrize('args, words, env', [
    (['s3://talks/nowhere', '--to', 'out'], ['no file s3://talks/nowhere'], {}),
    (['s3://nowhere/talks', '--to', 'out'], ['no file s3://nowhere/talks'], {}),
    (['talks', '--to', 's3://nowhere/out'], ['s3://nowhere/out', 'does not exist'], {}),
    (['talks', '--to', 'gs://bucket/out'], ['gs://bucket/out', 'install gcsfs'], {}),
    (['https://example.org/talks', '--to', 'out'], ['an address'], {}),
    (['talks', '--to', 's3://talks/split', '--split', 60], ['--split', 's3://talks/split'], {}),
    (['s3://talks/a', '--to', 'out'], ['s3://talks/a cannot be read', 'credentials'], {'AWS_ACCESS_KEY_ID': '', 'AWS_EC2_METADATA_DISABLED': 'true'}),
], ids=lambda v: ' '.join(map(str, v)) or '-')
def test_storage_errors(place, args, words, env):
    one_sentence(bgblur('batch', *args, env=os.environ | env), *words)
    assert not Path('out').exists()
