"One long clip on many workers: the joined result must be what a single worker writes. Clips are short, and their parts have ten frames."
import signal
import subprocess
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import disturb
import cv2
import numpy as np
import psutil
import pytest
from conftest import bgblur, one_sentence, until

import bgblur as package
from bgblur.core.settings import Encoding, Settings
from bgblur.io.files import VideoError
from bgblur.io.parts import CannotSplit, Part, find_parts
from bgblur.pipeline import Blurrer
from bgblur.split import blur_part, join_clip, plan_parts
from bgblur.video import blur_video

N, SIZE, PART = 30, (160, 120), .4        # frames of a clip, their size, and the seconds of a part, which has ten frames
FAST = Settings(quality='fast')
batch = partial(package.batch, progress=False)


def make_clip(path, imgs, pts=None, tracks=1, key_every=10, pix_fmt='yuv420p', **options):
    "Write a clip with B-frames and a key frame every `key_every` frames, at 25 frames per second or at the times `pts` in ms."
    with av.open(str(path), 'w') as out:
        video = out.add_stream('libx264', rate=25, options={'g': str(key_every), 'bf': '2', 'sc_threshold': '0'} | options)
        video.width, video.height, video.pix_fmt = *imgs[0].shape[1::-1], pix_fmt
        if pts: video.codec_context.time_base = Fraction(1, 1000)
        sounds = [out.add_stream('aac', rate=48000, layout='mono') for _ in range(tracks)]
        for sound, language in zip(sounds, ('eng', 'deu')): sound.metadata['language'] = language
        for i, img in enumerate(imgs):
            frame = av.VideoFrame.from_ndarray(img, format='bgr24')
            if pts: frame.pts, frame.time_base = pts[i], Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        for k, sound in enumerate(sounds):
            tone = np.sin(np.arange(48000*len(imgs)//25)*2*np.pi*(k + 1)/100).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format='fltp', layout='mono')
            frame.rate, frame.pts = 48000, 0
            out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


@pytest.fixture(scope='session')
def imgs(frames): return [cv2.resize(f, SIZE) for f in frames[:N]]


@pytest.fixture
def clip(tmp_path, monkeypatch, imgs):
    "Return a clip that can be split into three parts, and work in its folder. Shorter parts than usual are allowed."
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules['bgblur.batch'], 'SHORTEST', PART)
    return make_clip('clip.mp4', imgs)


def packets(path, type='video'):
    "Return time, DTS and duration of the packets of each track; of sound also their content."
    def seconds(p, t): return t if t is None else t*p.time_base
    with av.open(str(path)) as c:
        return [[(*(seconds(p, t) for t in (p.pts, p.dts, p.duration)), bytes(p)*(type == 'audio')) for p in c.demux(s) if p.size]
                for s in c.streams if s.type == type]


def read_grey(path):
    with av.open(str(path)) as c: return np.stack([f.to_ndarray(format='gray') for f in c.decode(video=0)]).astype(int)


def dark_blurrer():
    "A `Blurrer` without a model, for tests of files and times."
    return Blurrer(lambda frame: (frame.max(2) < 60).astype('float32'))


def split_alone(src, dst, seconds=PART, encoding=Encoding(), blurrer=None, damage=None, warm_up=2, **part):
    "Do in one process what workers do. `damage` is a function of the paths of the parts."
    plan, blurrer = plan_parts(src, dst, seconds, encoding, **part), blurrer or dark_blurrer()
    paths = [Path(f'{i}.nut') for i in range(len(plan['parts']))]
    facts = [blur_part(src, path, p, Path(dst).suffix, plan['choice'], blurrer, encoding, warm_up=warm_up, **part)
             for path, p in zip(paths, plan['parts'])]
    if damage: damage(paths)
    return join_clip(src, dst, paths, facts, plan['choice'], encoding, **part)


def left(): return sorted(p.name for p in Path('out').iterdir() if p.name != '.bgblur.jsonl')


# -- the file ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('dst, encoding', [
    ('new.mp4', Encoding()), ('new.mp4', Encoding(preset='medium')), ('new.mkv', Encoding(preset='medium')), ('new.mov', Encoding(codec='hevc')),
    ('new.mp4', Encoding('small', 'av1')), ('new.webm', Encoding()), ('new.avi', Encoding('best'))], ids=lambda v: '-'.join(map(str, v.changed().values())) if isinstance(v, Encoding) else v)
def test_same_file_as_in_one_piece(clip, dst, encoding):
    "All codecs and containers: the same times, the same sound, and frames that a decoder accepts without a complaint."
    report = split_alone(clip, dst, encoding=encoding)
    whole = blur_video(clip, f'whole-{dst}', dark_blurrer(), progress=False, encoding=encoding)
    assert (report.frames, report.audio, report.problems(clip)) == (whole.frames, whole.audio, [])
    # key frames need more bits
    assert [n for n in report.notes if 'bit rate' not in n] == whole.notes
    [new], [old] = packets(dst), packets(f'whole-{dst}')
    # the encoder may store B-frames in another order, because a part starts with a key frame
    assert sorted(t for t, *_ in new) == sorted(t for t, *_ in old) and packets(dst, 'audio') == packets(f'whole-{dst}', 'audio')
    # Matroska does not store it
    dts = [d for _, d, *_ in new if d is not None]
    assert dts == sorted({*dts}) and all(d <= t for t, d, *_ in new if d is not None) and new[0][1] == old[0][1]
    diff = np.abs(read_grey(dst) - read_grey(f'whole-{dst}')).mean((1, 2))
    assert len(diff) == N and diff.max() < 3


def test_irregular_times_and_several_tracks(clip, imgs):
    times = np.cumsum(np.random.default_rng(0).choice([20, 33, 40, 70], N)).tolist()
    src = make_clip('many.mkv', imgs, [t - times[0] for t in times], tracks=2)
    blur_video(src, 'whole.mkv', dark_blurrer(), progress=False)
    split_alone(src, 'new.mkv')
    assert packets('new.mkv') == packets('whole.mkv') and packets('new.mkv', 'audio') == packets('whole.mkv', 'audio')
    with av.open('new.mkv') as c: assert [s.metadata['language'] for s in c.streams.audio] == ['eng', 'deu']


def test_part_of_the_file(clip):
    "The clip starts and ends between key frames. No part starts at its first key frame."
    blur_video(clip, 'whole.mp4', dark_blurrer(), progress=False, start=.2, end=1.1)
    split_alone(clip, 'new.mp4', start=.2, end=1.1)
    assert packets('new.mp4') == packets('whole.mp4') and packets('new.mp4', 'audio') == packets('whole.mp4', 'audio')


def test_odd_and_turned(clip, imgs):
    "An odd size and a rotation: each encoder is set up for the first frame of the clip."
    src = make_clip('plain.mkv', [img[:119, :159] for img in imgs], pix_fmt='yuv444p')
    with av.open(src) as c, av.open('turned.mp4', 'w') as out:
        video = out.add_stream_from_template(c.streams.video[0])
        video.set_display_rotation(90)
        for p in c.demux(video=0):
            p.stream = video
            if p.size: out.mux(p)
    blur_video('turned.mp4', 'whole.mp4', dark_blurrer(), progress=False)
    split_alone('turned.mp4', 'new.mp4')
    assert packets('new.mp4') == packets('whole.mp4') and read_grey('new.mp4').shape == read_grey('whole.mp4').shape


# -- the seam ---------------------------------------------------------------------------------------------------------

def test_seam(clip):
    "With a warm-up from the start of the clip, the result is that of one piece; without it, the edge of the person differs."
    encoding, blurrer = Encoding(0), Blurrer(quality='fast')
    blur_video(clip, 'whole.mp4', blurrer, progress=False, encoding=encoding)
    whole, worst = read_grey('whole.mp4'), {}
    for warm_up in (0, 2):
        split_alone(clip, 'new.mp4', encoding=encoding, blurrer=blurrer, warm_up=warm_up)
        worst[warm_up] = np.percentile(np.abs(read_grey('new.mp4') - whole), 99.99)
    assert worst[2] <= 4 < 10 < worst[0]


def test_overlap(clip):
    "The blurrer gets the frames of the warm-up, of the part, and those that the matte looks ahead. Only the part is written."
    class Noting(Blurrer):
        def stream(self, frames, transparent=False): return super().stream(((f, seen.append(t) or t) for f, t in frames), transparent)
    blurrer = Noting(dark_blurrer().segmenter)
    for part, first, last in ((Part(None, Fraction(2, 5)), 0, 13), (Part(Fraction(2, 5), Fraction(4, 5)), 5, 23), (Part(Fraction(4, 5), None), 15, 29)):
        seen = []
        facts = blur_part(clip, Path('part.nut'), part, '.mp4', plan_parts(clip, 'new.mp4', PART)['choice'], blurrer, warm_up=Fraction(1, 5))
        assert facts['frames'] == 10 and sorted(round(25*t) for t in seen)[:last - first + 1] == [*range(first, last + 1)]


def test_part_without_a_person(clip, imgs):
    "The note about a missing person needs a whole clip without one."
    for n in (10, 30):
        src = make_clip('empty.mp4', [np.zeros_like(img) for img in imgs[n:]] + [np.full_like(img, 255) for img in imgs[:n]])
        assert len([note for note in split_alone(src, f'{n}.mp4', warm_up=0).notes if 'no person' in note]) == (n == 30)


# -- what cannot be split ---------------------------------------------------------------------------------------------

def test_why_not(clip, imgs):
    with pytest.raises(CannotSplit, match='key frame'): find_parts(make_clip('one.mp4', imgs, key_every=1000), PART)
    with pytest.raises(CannotSplit, match='AVI'): find_parts(make_clip('a.avi', imgs, tracks=0, bf='0'), PART)
    with av.open('raw.h264', 'w', format='h264') as out, av.open(clip) as c:
        video = out.add_stream_from_template(c.streams.video[0])
        for p in c.demux(video=0):
            p.stream = video
            if p.size: out.mux(p)
    with pytest.raises(CannotSplit, match='valid time'): find_parts('raw.h264', PART)
    for dst, transparent in (('new.gif', False), ('new.webm', True)):
        with pytest.raises(CannotSplit, match='not joined'): plan_parts(clip, dst, PART, transparent=transparent)
    with pytest.raises(VideoError, match='ending'): plan_parts(clip, 'new.txt', PART)
    # joined recordings: the times start again in the middle
    with av.open('part.ts', 'w') as out, av.open(clip) as c:
        video = out.add_stream_from_template(c.streams.video[0])
        for p in c.demux(video=0):
            p.stream = video
            if p.size: out.mux(p)
    Path('joined.ts').write_bytes(Path('part.ts').read_bytes()*2)
    with pytest.raises(CannotSplit, match='jump'): find_parts('joined.ts', PART)


def test_batch_without_a_cut(clip, imgs):
    "A clip that cannot be split is blurred in one piece, with a note. A short clip or an image needs no note."
    make_clip('short.mp4', imgs[:8])
    cv2.imwrite('image.png', imgs[0])
    sources = [make_clip('one.mp4', imgs, key_every=1000), 'short.mp4', 'image.png']
    jobs = {job.src.name: job for job in batch(sources, 'out', FAST, split=PART, workers=1)}
    assert all(job.is_complete for job in jobs.values()) and jobs['short.mp4'].report['notes'] == jobs['image.png'].report['notes'] == []
    [note] = jobs['one.mp4'].report['notes']
    assert 'was not split' in note and 'key frame' in note


# -- workers ----------------------------------------------------------------------------------------------------------

def test_result_of_workers(clip):
    "The row of the report looks like that of one piece."
    [job] = batch(clip, 'out', FAST, split=PART, workers=2)
    assert (job.state, job.tries, job.report['frames'], job.report['sound'], job.report['notes']) == ('done', 1, N, 'copied', [])
    assert job.seconds > 0 < job.fps and left() == ['clip-blurred.mp4']
    # the result depends on the parts
    assert [job.state for seconds in (PART, None) for job in batch(clip, 'out', FAST, split=seconds, dry_run=True)] == ['skipped', 'planned']


def test_command(clip):
    assert '1 planned' in bgblur('batch', clip, '--to', 'out', '--split', '0:05', '--dry-run').stdout
    one_sentence(bgblur('batch', clip, '--to', 'out', '--split', 2), 'split', '5')


def test_damaged_part(clip, monkeypatch):
    "If a part fails, the clip fails, and nothing is left. Its other parts are not processed, and other files are done."
    monkeypatch.setattr(sys.modules['bgblur.split'], 'process_part', partial(disturb.fail_in_part, None))
    jobs = {job.src.name: job for job in batch([clip, make_clip('b.mp4', [np.zeros((120, 160, 3), np.uint8)]*4)], 'out', FAST, split=PART, workers=1)}
    assert {name: job.state for name, job in jobs.items()} == {'clip.mp4': 'failed', 'b.mp4': 'done'}
    assert 'cannot be decoded here' in jobs['clip.mp4'].error and left() == ['b-blurred.mp4'] and Path('calls').read_text().split() == ['None']


@pytest.mark.parametrize('retries', [0, 1])
def test_worker_is_killed_in_a_part(clip, monkeypatch, retries):
    "Only this part is done again."
    monkeypatch.setattr(sys.modules['bgblur.split'], 'process_part', partial(disturb.kill_in_part, Fraction(PART).limit_denominator(100)))
    [job] = batch(clip, 'out', FAST, split=PART, workers=1, retries=retries)
    if not retries:
        assert job.state == 'failed' and 'killed' in job.error and left() == []
        return
    assert (job.state, job.tries, job.report['frames']) == ('done', 2, N) and left() == ['clip-blurred.mp4']
    assert Path('calls').read_text().split() == ['None', '2/5', '4/5', '2/5']
    assert sorted(t for t, *_ in packets(job.dst)[0]) == [Fraction(i, 25) for i in range(N)]


def test_parts_that_do_not_fit(clip):
    "Parts of other encoders are refused, not joined into a file that no player shows."
    def spoil(paths): split_alone('clip.mp4', 'other.mkv', encoding=Encoding(preset='medium'))
    with pytest.raises(VideoError, match='cannot be joined'): split_alone(clip, 'new.mp4', damage=spoil)
    assert not Path('new.mp4').exists()


COMMAND = f"""
import sys
from bgblur import batch, cli
sys.modules['bgblur.batch'].SHORTEST = {PART}
sys.argv = 'bgblur batch clip.mp4 --to out --split {PART} --workers 1 --quality fast -q'.split()
cli.main()
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_run_is_stopped(clip, number):
    "After Ctrl-C no parts are left. After a kill, the next run removes them and makes the whole clip."
    process = subprocess.Popen([sys.executable, '-c', COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: list(Path('out').glob('.*.part/*.nut')) or process.poll() is not None, 'no part was written')
    workers = psutil.Process(process.pid).children()
    process.send_signal(number)
    assert process.communicate()[1] == ''
    psutil.wait_procs(workers)
    if number == signal.SIGINT:
        assert (process.returncode, left()) == (130, [])
        return
    assert [p for p in left() if p.endswith('.part')]
    assert [job.state for job in batch(clip, 'out', FAST, split=PART, workers=1)] == ['done'] and left() == ['clip-blurred.mp4']
