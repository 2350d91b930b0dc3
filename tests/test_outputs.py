"""Test outputs and inputs for other tools: mattes, image sequences, pipes, and reports as JSON."""
import json
import os
import signal
import subprocess
import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from conftest import BIN, CLIP, bgblur, one_sentence, read_frames, run, sound, times, until, write_clip

from bgblur import video
from bgblur.background import cutout
from bgblur.io import files
from bgblur.io.files import VideoError, atomic_files
from bgblur.io.reader import VideoReader
from bgblur.pipeline import Blurrer
from bgblur.video import blur_image, blur_video

N, SIZE = 12, (96, 128)


@pytest.fixture(scope='module')
def imgs(frames): return [cv2.resize(f, SIZE[::-1]) for f in frames[:10*N:10]]


@pytest.fixture(scope='module')
def clip(tmp_path_factory, imgs): return write_clip(tmp_path_factory.mktemp('outputs')/'me.mp4', imgs)


@pytest.fixture
def place(tmp_path, monkeypatch, clip):
    "Work in an empty folder that contains the clip."
    (tmp_path/'me.mp4').write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def greys(path):
    "Return the frames of a grey video as any program reads them."
    with av.open(str(path)) as c: return [f.to_ndarray(format='gray') for f in c.decode(video=0)]


def names(folder='.'): return sorted(n for n in os.listdir(folder) if n != 'me.mp4')


def blur(src, dst, blurrer=None, **options): return blur_video(src, dst, blurrer, progress=False, **options)


def piped(data, *args):
    "Run the command with `data` on standard input. Return the process, with its output as bytes."
    return subprocess.run([BIN/'bgblur', *map(str, args)], input=data, capture_output=True)


def y4m(imgs, rate=25):
    "Return `imgs` as raw video."
    h, w = imgs[0].shape[:2]
    planes = [cv2.cvtColor(img, cv2.COLOR_BGR2YUV_I420).tobytes() for img in imgs]
    return f'YUV4MPEG2 W{w} H{h} F{rate}:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n'.encode() + b''.join(b'FRAME\n' + p for p in planes)


def y4m_frames(data, n_bytes=SIZE[0]*SIZE[1]*3//2):
    "Return the header and the frames of raw video. Fail if a byte is too many or too few."
    head, _, rest = data.partition(b'\n')
    assert len(rest) % (n_bytes + 6) == 0
    parts = [rest[i:i + n_bytes + 6] for i in range(0, len(rest), n_bytes + 6)]
    assert all(p.startswith(b'FRAME\n') for p in parts)
    return head, [p[6:] for p in parts]


# -- mattes ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name, error', [('m.mp4', 6), ('m.mov', 6), ('m.mkv', 0), ('m_%03d.png', 0)])
def test_matte_belongs_to_its_frame(place, name, error):
    "The matte is the alpha of the cutout of the same frame, at the same time, also with a matte that looks ahead."
    blur('me.mp4', 'cut_%03d.png', transparent=True, matte=name)
    alphas = [cv2.imread(f'cut_{i:03}.png', cv2.IMREAD_UNCHANGED)[..., 3] for i in range(1, N + 1)]
    if '%' in name: mattes = [cv2.imread(name % i, cv2.IMREAD_UNCHANGED) for i in range(1, N + 1)]
    else:
        mattes = greys(name)
        assert times(name) == times('me.mp4')
    assert Blurrer().matte.lookahead > 0
    assert len(mattes) == N and not any(np.array_equal(a, b) for a, b in zip(alphas, alphas[1:]))
    worst = [np.abs(np.int32(a) - m).max() for a, m in zip(alphas, mattes)]
    assert max(worst) <= error
    assert {a.min() for a in mattes} == {0} and {a.max() for a in mattes} == {255}


def test_matte_composites_to_the_written_frame(place):
    "Alpha and colours of `Blurrer`, put together by hand, give the frames that `blur_video` writes."
    blur('me.mp4', 'cut_%03d.png', transparent=True, matte='m.mkv')
    kept = []
    with VideoReader('me.mp4') as reader: shown = [(f.to_ndarray(format='bgr24'), f.time) for f in reader.frames()]
    list(Blurrer().stream(shown, True, seen=lambda frame, r: kept.append((frame.bgr(), r.layers))))
    for i, ((img, layers), grey) in enumerate(zip(kept, greys('m.mkv')), 1):
        by_hand = cutout(img, grey/np.float32(255), *layers)
        written = cv2.imread(f'cut_{i:03}.png', cv2.IMREAD_UNCHANGED)
        assert np.array_equal(by_hand[..., 3], written[..., 3])
        assert cv2.absdiff(by_hand, written)[grey > 128].mean() < 2


@pytest.mark.parametrize('ending', ['mp4', 'mkv'])
def test_grey_is_exact_to_other_readers(tmp_path, place, ending):
    "All 256 values survive, and a reader that ignores times and tags, OpenCV, gets the same."
    blur('me.mp4', None, matte=f'm.{ending}')
    back, seen = greys(f'm.{ending}'), read_frames(f'm.{ending}')
    cap = cv2.VideoCapture(f'm.{ending}')
    for a, b in zip(back, seen):
        assert np.ptp(b, axis=2).max() == 0 and np.abs(np.int32(a) - b[..., 0]).max() <= 1
        assert np.abs(np.int32(a) - cap.read()[1][..., 1]).max() <= 1
    with av.open(f'm.{ending}') as c: assert int(next(c.decode(video=0)).color_range) == 2


@pytest.mark.parametrize('dst, expected', [('r.mp4', (152, 202)), ('r.gif', (152, 202)), ('r_%d.jpg', (151, 201)), (None, (151, 201))])
def test_odd_size(tmp_path, place, imgs, dst, expected):
    "A matte has the size of the result, without one that of the source, also if it is stored without loss."
    write_clip(tmp_path/'odd.mp4', [cv2.resize(f, (201, 151)) for f in imgs[:3]], pix_fmt='yuv444p')
    blur('odd.mp4', dst, matte='m.mkv')
    assert [g.shape for g in greys('m.mkv')] == [expected]*3
    if dst and '%' not in dst: assert [f.shape[:2] for f in read_frames(dst)] == [expected]*3
    blur('odd.mp4', None, matte='m.mp4')
    assert greys('m.mp4')[0].shape == (152, 202)


def test_uneven_times(tmp_path, place, imgs):
    "A matte has the times of its clip. Raw video moves frames to a grid, as FFmpeg does, and says so."
    pts = np.cumsum([1000, 1000, 2000, 500, 500]*2).tolist()
    write_clip(tmp_path/'vfr.mp4', imgs[:10], pts=pts, rate=Fraction(30), time_base=Fraction(1, 30000))
    blur('vfr.mp4', 'r.mp4', matte='m.mp4')
    assert times('m.mp4') == times('r.mp4') == times('vfr.mp4')
    assert any('not evenly spaced' in n for n in blur('vfr.mp4', 'r_%d.jpg').notes)
    result = bgblur('video', 'vfr.mp4', '-o', '-', '--json', encoding='latin-1')
    assert 'because raw video has a constant frame rate' in json.loads(result.stderr.splitlines()[-1])['notes'][0]


def test_failed_and_empty_frames_are_black(place):
    count = iter(range(10**6))

    def fails_later(frame):
        if next(count) >= 5: raise RuntimeError('out of memory')
        return np.ones(frame.shape[:2], np.float32)
    report = blur('me.mp4', None, Blurrer(fails_later, skip=0, crop=False), matte='m.mkv')
    assert [int(g.max()) for g in greys('m.mkv')] == [255]*5 + [0]*(N - 5) and report.n_failed == N - 5
    report = blur('me.mp4', None, Blurrer(lambda frame: np.zeros(frame.shape[:2], np.float32)), matte='empty.mkv')
    assert max(g.max() for g in greys('empty.mkv')) == 0 and report.notes == ['no person was found, so the matte is black']


def test_one_pixel(place):
    "Alpha of a single pixel is in the matte."
    def dot(frame, p, time):
        alpha = np.zeros(frame.shape[:2], np.float32)
        alpha[10, 20] = 1
        return alpha
    blur('me.mp4', None, Blurrer(matte=dot), matte='m.mp4')
    for grey in greys('m.mp4'): assert grey[10, 20] > 250 and np.count_nonzero(grey > 8) == 1


@pytest.mark.parametrize('fault', ['blurrer', 'interrupt', 'result', 'matte'])
def test_neither_or_both(place, fault, monkeypatch):
    "If anything fails, neither result nor matte appears."
    error = {'interrupt': KeyboardInterrupt, 'blurrer': ZeroDivisionError}.get(fault, OSError)

    class Fails(Blurrer):
        def stream(self, *args, **kwargs):
            for i, img in enumerate(super().stream(*args, **kwargs)):
                if i == 7 and error is not OSError: raise error
                yield img
    if error is OSError:
        replace, bad = os.replace, {'result': 'r.mp4', 'matte': 'm.mp4'}[fault]

        def refuse(a, b):
            if os.fspath(b) == bad: raise OSError(28, 'No space left on device')
            return replace(a, b)
        monkeypatch.setattr(os, 'replace', refuse)
    with pytest.raises(VideoError if error is OSError else error): blur('me.mp4', 'r.mp4', Fails(), matte='m.mp4')
    assert names() == []


@pytest.mark.parametrize('matte', ['m.mp4', 'm_%d.png'])
def test_file_that_appears_meanwhile_stays(place, matte):
    "Another program writes a file under the name of the matte or the result: it stays, and neither of ours appears."
    class Meanwhile(Blurrer):
        def stream(self, *args, **kwargs):
            (place/self.name).write_text('of the user')
            yield from super().stream(*args, **kwargs)
    for name in (matte.replace('%d', '3'), 'r.mp4'):
        blurrer = Meanwhile()
        blurrer.name = name
        with pytest.raises(VideoError, match='in the meantime|File exists'): blur('me.mp4', 'r.mp4', blurrer, matte=matte)
        assert names() == [name] and (place/name).read_text() == 'of the user'
        (place/name).unlink()


def test_image_that_appears_meanwhile_stays(place, imgs, monkeypatch):
    cv2.imwrite('a.png', imgs[0])

    def meanwhile(*args):
        (place/'m.png').write_text('of the user')
        return files.atomic_file(*args)
    monkeypatch.setattr(video, 'atomic_file', meanwhile)
    with pytest.raises(VideoError, match='in the meantime'): blur_image('a.png', 'r.png', matte='m.png')
    assert names() == ['a.png', 'm.png'] and (place/'m.png').read_text() == 'of the user'


def test_result_and_matte_of_the_same_names(place):
    for dst, matte in (('a_%d.png', 'a_%03d.png'), ('a_%02d.png', './a_%2d.png'.replace('%2d', '%002d'))):
        with pytest.raises(VideoError, match='cannot both'): blur('me.mp4', dst, matte=matte)
    assert names() == []


def test_image_matte(place, imgs):
    cv2.imwrite('me.png', imgs[0])
    result = blur_image('me.png', 'cut.png', transparent=True, matte='alpha.png')
    alpha = cv2.imread('alpha.png', cv2.IMREAD_UNCHANGED)
    assert alpha.ndim == 2 and np.array_equal(alpha, cv2.imread('cut.png', cv2.IMREAD_UNCHANGED)[..., 3])
    assert (result.report.to_dict()['result'], result.report.to_dict()['matte']) == ('cut.png', 'alpha.png')
    # what the image hides is not the person
    half = np.dstack([imgs[0], np.full(SIZE, 255, np.uint8)])
    half[:, :SIZE[1]//2, 3] = 0
    cv2.imwrite('half.png', half)
    assert blur_image('half.png', None, matte='half-alpha.png').name == 'half-alpha.png'
    half_alpha = cv2.imread('half-alpha.png', cv2.IMREAD_UNCHANGED)
    assert half_alpha[:, :SIZE[1]//2].max() == 0 and half_alpha[:, SIZE[1]//2:].max() == 255
    for dst, matte, words in (('a.png', 'a.png', 'cannot both'), (None, None, 'nothing to write'), ('a.png', 'a.jpg', 'unsupported ending')):
        with pytest.raises(VideoError, match=words): blur_image('me.png', dst, matte=matte)


# -- image sequences ---------------------------------------------------------------------------------------------

def write_images(folder, imgs, first=1, pattern='in_%04d.png'):
    folder.mkdir(exist_ok=True)
    for i, img in enumerate(imgs): cv2.imwrite(str(folder/(pattern % (first + i))), img)
    return folder/pattern


def test_images_to_video_and_back(place, imgs):
    "A sequence that starts anywhere, in a folder with a percent sign, keeps its numbers and gets a rate."
    src = write_images(place/'50%d', imgs, 1001)
    report = blur(src, 'r.mp4', matte='m.mp4', rate=Fraction(24000, 1001))
    assert (report.frames, report.missing, report.audio) == (N, '', 'none')
    assert times('r.mp4') == [Fraction(1001*i, 24000) for i in range(N)]
    # half a frame is rounded
    for start, rate, first in ((.1, 25, 1004), (.125, 4, 1001), (.375, 4, 1003)):
        blur(src, place/'50%d'/'out_%d.png', lambda frame, time: frame, start=start, rate=rate, overwrite=True)
        assert [n for n in names('50%d') if n.startswith('out')] == [f'out_{i}.png' for i in range(first, 1013)]
        for i in range(first, 1013): assert np.array_equal(cv2.imread(f'50%d/out_{i}.png'), imgs[i - 1001])
    assert blur('me.mp4', 'me_%02d.jpg').audio == 'left out'
    assert f'me_{N}.jpg' in names() and cv2.imread('me_01.jpg').shape == (*SIZE, 3)


def test_gap_and_damage_are_reported(place, imgs):
    "A gap ends the sequence. An image that cannot be decoded leaves a gap in the result; an empty one ends it."
    src = write_images(place/'in', imgs)
    (place/'in'/'in_0009.png').unlink()
    result = bgblur('video', src, '-o', 'gap_%04d.png')
    assert result.returncode == 1 and 'in_0009.png is missing, so 3 images were left out' in result.stderr
    assert names() == [f'gap_{i:04}.png' for i in range(1, 9)] + ['in']
    (place/'in'/'in_0003.png').write_bytes((place/'in'/'in_0003.png').read_bytes()[:300])
    report = blur(src, 'bad_%04d.png')
    assert report.n_undecodable == 1 and names()[:7] == [f'bad_{i:04}.png' for i in (1, 2, 4, 5, 6, 7, 8)]
    (place/'in'/'in_0005.png').write_bytes(b'')
    assert blur(src, 'r.mp4').missing == 'in_0005.png cannot be read, so 7 images were left out'


def test_sequence_errors(place, imgs):
    write_images(place/'in', imgs[:2])
    one_sentence(bgblur('video', 'in/no_%03d.png', '-o', 'r.mp4'), "looked in 'in' for names like no_001.png")
    one_sentence(bgblur('video', 'in/in_%04d.png', '-o', 'in/in_%04d.png', '--overwrite'), 'the source itself')
    one_sentence(bgblur('video', 'me.mp4', '-o', 'in/in_%04d.png'), 'in_0001.png exists')
    one_sentence(bgblur('video', 'me.mp4', '-o', 'a_%d.jpg', '-b', 'none'), 'cannot store transparency')
    one_sentence(bgblur('video', 'me.mp4', '-o', 'r.mp4', '--rate', '30'), 'its own frame rate')
    for n in (1, 2): (place/'in'/f'in_{n:04}.png').write_bytes(b'')
    one_sentence(bgblur('video', 'in/in_%04d.png', '-o', 'r.mp4'), 'in_%04d.png')
    assert names() == ['in']
    # more digits than a number can have
    blur('me.mp4', 'in/w_%030d.png')
    with pytest.raises(VideoError, match='w_0*1.png exists'): blur('me.mp4', 'in/w_%030d.png')
    assert blur('in/w_%030d.png', 'r.mp4', overwrite=True).frames == N


def test_default_name_of_a_sequence(place, imgs):
    write_images(place/'in', imgs[:3])
    assert bgblur('video', 'in/in_%04d.png', '-q').returncode == 0
    assert len(read_frames('in/in-blurred.mp4')) == 3


@pytest.mark.parametrize('links', [True, False])
def test_images_appear_together(place, links, monkeypatch):
    "Interrupted while images get their names: the old ones are back. Also where the disk has no hard links, if nothing interrupts."
    if not links: monkeypatch.setattr(os, 'link', lambda *_: (_ for _ in ()).throw(PermissionError(1, 'Operation not permitted')))
    for n in (3, 2):
        with atomic_files(place/'a', lambda: list(place.glob('a*'))) as tmp:
            for i in range(n): (tmp/f'a{i}').write_bytes(b'new')
        assert names() == [f'a{i}' for i in range(n)]
    if not links: return
    place_file = files._place

    def place_or_stop(new, dst):
        if dst.name == 'a3': raise KeyboardInterrupt
        place_file(new, dst)
    monkeypatch.setattr(files, '_place', place_or_stop)
    with pytest.raises(KeyboardInterrupt):
        with atomic_files(place/'a', lambda: list(place.glob('a*'))) as tmp:
            for i in range(4): (tmp/f'a{i}').write_bytes(b'newer')
    assert names() == ['a0', 'a1'] and (place/'a0').read_bytes() == b'new'


# -- pipes -------------------------------------------------------------------------------------------------------

def test_raw_video_through_a_pipe(place, imgs):
    "Raw video in, raw video out: the result is that of a file, and nothing else is on standard output."
    source = y4m(imgs)
    result = piped(source, 'video', '-', '-o', '-', '--json')
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stderr.splitlines()[-1])
    assert (facts['source'], facts['result'], facts['frames'], facts['sound']) == ('-', '-', N, 'none')
    head, frames = y4m_frames(result.stdout)
    assert head.split()[:4] == [b'YUV4MPEG2', b'W128', b'H96', b'F25:1'] and head.endswith(b'XCOLORRANGE=LIMITED') and len(frames) == N
    (place/'raw.y4m').write_bytes(source)
    assert bgblur('video', 'raw.y4m', '-o', 'r.mkv', '--quality', '0').returncode == 0
    with av.open('r.mkv') as c: expected = [f.to_ndarray() for f in c.decode(video=0)]
    got = [np.frombuffer(f, np.uint8).reshape(-1, SIZE[1]) for f in frames]
    assert np.mean([cv2.absdiff(a, b).mean() for a, b in zip(got, expected)]) < 1


def remux(src, container):
    "Copy all tracks of a clip into another container. Return its name."
    with av.open(str(src)) as c, av.open('me.bin', 'w', format=container) as out:
        streams = {s: out.add_stream_from_template(s) for s in c.streams}
        for p in c.demux():
            if not p.size: continue
            p.stream = streams[p.stream]
            out.mux(p)
    return 'me.bin'


@pytest.mark.parametrize('container, ending', [('matroska', 'mkv'), ('mpegts', 'mp4')])
def test_other_containers_through_a_pipe(place, container, ending):
    "The sound of a piped clip is kept, although a pipe can only be read once."
    with open(remux('me.mp4', container), 'rb') as f: result = run(BIN/'bgblur', 'video', '-', '-o', f'r.{ending}', '--json', '-q', stdin=f)
    assert json.loads(result.stdout)['sound'] == 'copied'
    assert [s for _, s in sound(f'r.{ending}')][:20] == [s for _, s in sound('me.mp4')][:20]
    assert len(read_frames(f'r.{ending}')) == N
    # a pipe cannot jump ahead
    with open(remux(CLIP, container), 'rb') as f: data = f.read()
    assert piped(data, 'video', '-', '-o', 'part.mp4', '--start', '9.6', '-q').returncode == 0
    assert len(read_frames('part.mp4')) == 10


@pytest.mark.parametrize('data, args, words', [
    (b'', ['-o', 'r.mp4'], 'not a video'),
    (b'hello'*1000, ['-o', 'r.mp4'], 'not a video'),
    (b'YUV4MPEG2 W64 H48 F25:1 C420\n', ['-o', 'r.mp4', '--matte', 'm.mkv'], 'no frame'),
    (CLIP, ['-o', 'r.mp4'], 'if its index comes first'),
    (b'', [], 'add -o FILE'),
    (b'', ['-o', '-', '-b', 'none'], 'cannot store transparency'),
    (b'', ['-o', 'none'], 'nothing to write'),
    (b'', ['-o', '-', '--codec', 'hevc'], '')])
def test_bad_input_from_a_pipe(place, data, args, words):
    "One sentence, and nothing is written, neither file nor frame."
    result = piped(data.read_bytes() if data == CLIP else data, 'video', '-', *args)
    lines = result.stderr.decode().strip().split('\n')
    assert (result.returncode, result.stdout, len(lines)) == (2, b'', 1), lines
    assert lines[0].startswith('bgblur: ') and words in lines[0] and names() == []


def test_raw_video_cut_off_in_a_frame(place, imgs):
    "The whole frames come out. The end of a pipe looks the same after success and failure."
    result = piped(y4m(imgs)[:-5000], 'video', '-', '-o', '-')
    assert result.returncode == 0 and len(y4m_frames(result.stdout)[1]) == N - 1


def pipeline(*args, **kwargs):
    "Start the command with pipes, which do not ignore the signals under test."
    def listen():
        for s in (signal.SIGINT, signal.SIGPIPE): signal.signal(s, signal.SIG_DFL)
    return subprocess.Popen([BIN/'bgblur', *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=listen, **kwargs)


def test_reader_that_ends_early(place, imgs):
    "As with `| head`: no traceback, the exit code of SIGPIPE, and no matte."
    write_clip(place/'long.mp4', imgs*8)
    process = pipeline('video', 'long.mp4', '-o', '-', '--matte', 'm.mkv', '--json')
    assert process.stdout.read(9) == b'YUV4MPEG2'
    process.stdout.close()
    assert process.stderr.read() == b'' and process.wait() == -signal.SIGPIPE
    assert names() == ['long.mp4']


def test_full_disk_behind_a_pipe(place):
    with open('/dev/full', 'wb') as f: result = subprocess.run([BIN/'bgblur', 'video', 'me.mp4', '-o', '-'], stdout=f, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (2, 'bgblur: Standard output cannot be written: No space left on device.\n')


def test_interrupted_in_a_pipe(place, imgs):
    "Ctrl-C while standard input waits: no partial file, no traceback."
    process = pipeline('video', '-', '-o', 'r.mp4', '--matte', 'm_%d.png')
    process.stdin.write(y4m(imgs))
    process.stdin.flush()
    until(lambda: any('.part' in n for n in names()), 'a private folder')
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b'' and process.returncode == -signal.SIGINT
    assert names() == []


def test_terminals_are_refused(place):
    "Frames on a terminal, and waiting for a video from the keyboard, are mistakes."
    pty = pytest.importorskip('pty')
    main, other = pty.openpty()
    try:
        for name, args in (('stdin', ['-', '-o', 'r.mp4']), ('stdout', ['me.mp4', '-o', '-'])):
            streams = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE} | {name: other}
            result = subprocess.run([BIN/'bgblur', 'video', *args], stderr=subprocess.PIPE, text=True, timeout=100, **streams)
            one_sentence(result, {'stdin': 'keyboard', 'stdout': 'terminal'}[name])
    finally:
        os.close(main)
        os.close(other)


def test_prints_do_not_mix_with_frames(place):
    "What a user's model prints goes to standard error."
    code = "import numpy as np\nfrom bgblur import Blurrer, blur_video\ndef model(frame):\n    print('hello'); return np.ones(frame.shape[:2], np.float32)\n" \
           "blur_video('me.mp4', '-', Blurrer(model), progress=False)\nprint('end')"
    result = subprocess.run([sys.executable, '-c', code], capture_output=True)
    assert b'hello' in result.stderr and b'hello' not in result.stdout and result.stdout.endswith(b'end\n')
    assert len(y4m_frames(result.stdout[:-4])[1]) == N


# -- JSON --------------------------------------------------------------------------------------------------------

FACTS = {'source', 'result', 'matte', 'frames', 'seconds', 'fps', 'sound', 'stills', 'n_failed', 'n_undecodable', 'missing', 'notes', 'problems'}


def test_json(place, imgs):
    "One object per source on standard output, and nothing else; the exit codes are those of the text."
    result = bgblur('video', 'me.mp4', '-o', 'r.mp4', '--matte', 'm.mkv', '--stills', '5', '--json')
    facts = json.loads(result.stdout)
    assert {*facts} == FACTS and result.returncode == 0
    assert (facts['source'], facts['result'], facts['matte'], facts['frames'], facts['sound']) == ('me.mp4', 'r.mp4', 'm.mkv', N, 'copied')
    assert facts['stills'] == [f'r-stills/frame_{i:06}.jpg' for i in (0, 5, 10)] and facts['problems'] == []
    (place/'bad.mp4').write_bytes(b'not a video')
    result = bgblur('video', 'bad.mp4', 'me.mp4', '--json', '-q')
    bad, good = map(json.loads, result.stdout.splitlines())
    assert result.returncode == 1 and bad['result'] == 'bad-blurred.mp4' and 'not a video' in bad['error'] and 'error' not in good
    cv2.imwrite('me.png', imgs[0])
    result = bgblur('image', 'me.png', '-o', 'none', '--matte', 'alpha.png', '--json')
    facts = json.loads(result.stdout)
    assert {*facts} == FACTS and (facts['result'], facts['matte'], facts['frames']) == (None, 'alpha.png', 1)
