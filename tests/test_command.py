"Run the commands on real files."
import os
import shlex
import subprocess
import sys
from fractions import Fraction
from importlib import import_module
from itertools import product

import av
import cv2
import numpy as np
import pytest
import typer
from conftest import BIN, CLIP, ROOT, bgblur, one_sentence, sound, times, write_clip
from typer.main import get_command
from typer.testing import CliRunner

from bgblur.cli import app
from bgblur.core.quality import QUALITIES
from bgblur.core.settings import SETTINGS, Encoding, Settings, declared
from bgblur.io.normalize import to_bgr
from bgblur.io.reader import VideoReader
from bgblur.pipeline import Blurrer
from bgblur.video import blur_video

LEARNER = ROOT/'sample_data'/'models'/'person.pkl'


def test_no_temporary_file_remains(tmp_path):
    "With telemetry, onnxruntime would write an identity file to the folder for temporary files."
    env = {k: v for k, v in os.environ.items() if k != 'ORT_DISABLE_TELEMETRY'} | {'TMPDIR': str(tmp_path)}
    assert bgblur('image', ROOT/'sample_data'/'rocket.jpg', '-o', tmp_path/'out.jpg', env=env).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ['out.jpg']


@pytest.fixture
def bad(tmp_path):
    "Make a folder of files that are not videos."
    (tmp_path/'text.mp4').write_text('This is not a video.\n'*100)
    (tmp_path/'empty.mp4').write_bytes(b'')
    (tmp_path/'folder.mp4').mkdir()
    (tmp_path/'there.mp4').write_bytes(b'precious')
    with av.open(str(tmp_path/'audio.mp4'), 'w') as out:
        stream = out.add_stream('aac', rate=48000, layout='mono')
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format='fltp', layout='mono')
        frame.rate, frame.pts = 48000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return tmp_path


@pytest.mark.parametrize('args, words', [
    (['missing.mp4'], ['no file', 'missing.mp4']),
    (['folder.mp4'], ['folder']),
    (['.'], ['folder']),
    ([''], ['folder']),
    ([ROOT/'sample_data'/'rocket.jpg'], ['an image', 'bgblur image']),
    (['text.mp4'], ['not a video']),
    (['audio.mp4'], ['no video track']),
    (['empty.mp4'], ['empty']),
    (['there.mp4', '-o', 'there.mp4'], ['the source itself']),
    (['there.mp4', '-o', './there.mp4', '--overwrite'], ['the source itself']),
    ([CLIP, '-o', 'nowhere/a.mp4'], ["folder 'nowhere' for 'a.mp4' does not exist"]),
    ([CLIP, '-o', 'there.mp4'], ['exists', '--overwrite']),
    ([CLIP, '-o', 'a.mp4', '--model', 'preson'], ['no model', 'preson']),
    ([CLIP, '-o', 'a.mp4', '--model', 'missing.onnx'], ['no model file']),
    ([CLIP, '-o', 'a.mp4', '--model', LEARNER], ['pickle', '--trust']),
    ([CLIP, '-o', 'a.txt'], ['.mp4']),
    ([CLIP, '-o', 'a.mp4', '--device', 'cuda'], ['Nvidia GPU']),
], ids=lambda v: ' '.join(os.path.basename(str(a)) for a in v))
def test_bad_video(bad, args, words):
    before = {p: p.read_bytes() if p.is_file() else None for p in bad.rglob('*')}
    one_sentence(bgblur('video', *args, cwd=bad), *words)
    assert {p: p.read_bytes() if p.is_file() else None for p in bad.rglob('*')} == before


@pytest.mark.parametrize('args, words', [
    (['missing.png'], ['no file']),
    (['text.mp4', '-o', 'a.png'], ['not an image']),
    ([CLIP, '-o', 'a.png'], ['not an image', 'bgblur video']),
    (['.'], ['folder']),
    ([ROOT/'sample_data'/'rocket.jpg', '-o', 'a.gif'], ['.png']),
], ids=lambda v: ' '.join(os.path.basename(str(a)) for a in v))
def test_bad_image(bad, args, words):
    before = sorted(bad.rglob('*'))
    one_sentence(bgblur('image', *args, cwd=bad), *words)
    assert sorted(bad.rglob('*')) == before


@pytest.mark.parametrize('extra, said', [([], True), (['-q'], False), (['-b', 'none'], True)], ids=['blurred', 'quiet', 'cut out'])
def test_image_without_a_person_is_reported(tmp_path, extra, said):
    done = bgblur('image', ROOT/'sample_data'/'rocket.jpg', '-o', tmp_path/'out.png', *extra)
    assert (done.returncode, 'no person was found' in done.stderr) == (0, said)


@pytest.mark.parametrize('args', [['video', CLIP, '--strength', '0'], ['video', CLIP, '--strength', 'much'], ['video'], ['vidoe'],
                                  ['live', '--source', CLIP, '--camera', '1'], ['live', '--source', CLIP, '--seconds', '0']])
def test_bad_arguments(args, tmp_path):
    assert bgblur(*args, cwd=tmp_path).returncode == 2


def test_broken_link_and_symlink_to_source(tmp_path):
    (tmp_path/'clip.mp4').write_bytes(CLIP.read_bytes())
    (tmp_path/'link.mp4').symlink_to(tmp_path/'clip.mp4')
    one_sentence(bgblur('video', tmp_path/'clip.mp4', '-o', tmp_path/'link.mp4', '--overwrite'), 'the source itself')
    assert (tmp_path/'clip.mp4').read_bytes() == CLIP.read_bytes()


def test_sound_is_kept_bit_for_bit(tmp_path, frames):
    src = write_clip(tmp_path/'talk.mp4', frames[:15])
    result = bgblur('video', src)
    assert result.returncode == 0 and 'sound copied' in result.stdout, result.stderr
    assert sound(tmp_path/'talk-blurred.mp4') == sound(src)


@pytest.mark.parametrize('kind', ['mp4', 'mkv', 'mov'])
def test_ntsc_rate_keeps_its_times(tmp_path, frames, kind):
    src = write_clip(tmp_path/'ntsc.mp4', frames[:40], rate=Fraction(30000, 1001))
    assert bgblur('video', src, '-o', tmp_path/f'out.{kind}').returncode == 0
    exact, kept = times(src), times(tmp_path/f'out.{kind}')
    assert exact[1] - exact[0] == Fraction(1001, 30000)
    if kind != 'mkv': assert kept == exact
    else:
        # Matroska counts in milliseconds and cannot store AAC's priming before 0, so everything starts later
        assert len(kept) == 40 and all(abs(k - kept[0] - e) <= Fraction(1, 1000) for k, e in zip(kept, exact))
        assert abs(kept[0] - sound(tmp_path/'out.mkv')[0][0] + sound(src)[0][0]) <= Fraction(1, 1000)


def test_variable_rate_keeps_its_times(tmp_path, frames):
    pts = np.random.default_rng(1).integers(100, 9000, 40).cumsum().tolist()
    src = write_clip(tmp_path/'phone.mp4', frames[:40], pts, time_base=Fraction(1, 90000))
    assert len({b - a for a, b in zip(times(src), times(src)[1:])}) > 30
    assert bgblur('video', src).returncode == 0
    assert times(tmp_path/'phone-blurred.mp4') == times(src)


@pytest.mark.parametrize('w, h', [(201, 151), (200, 151), (3, 3), (17, 301)])
def test_odd_sizes(tmp_path, frames, w, h):
    src = write_clip(tmp_path/'odd.mp4', [cv2.resize(f, (w, h)) for f in frames[:5]], pix_fmt='yuv444p')
    assert bgblur('video', src).returncode == 0
    with av.open(str(tmp_path/'odd-blurred.mp4')) as c: got = [(f.width, f.height) for f in c.decode(video=0)]
    assert got == [(w + w % 2, h + h % 2)]*5


def test_colours_stay(tmp_path):
    "An image of plain colours, tagged BT.709, keeps its YUV values where nothing is blurred."
    src, dst = tmp_path/'bars.mp4', tmp_path/'bars-blurred.mp4'
    bars = np.repeat(np.uint8([[[30, 60, 200], [180, 90, 20], [60, 160, 90], [128, 128, 128]]]), 40, axis=1).repeat(96, axis=0)
    with av.open(str(src), 'w') as out:
        v = out.add_stream('libx264', rate=25, options={'qp': '0'})
        v.width, v.height, v.pix_fmt = 160, 96, 'yuv420p'
        v.codec_context.colorspace, v.codec_context.color_range = 1, 1
        for _ in range(3): out.mux(v.encode(av.VideoFrame.from_ndarray(bars, format='bgr24').reformat(format='yuv420p', dst_colorspace=1)))
        out.mux(v.encode())
    assert bgblur('video', src, '--strength', 1).returncode == 0
    with av.open(str(src)) as a, av.open(str(dst)) as b:
        for x, y in zip(a.decode(video=0), b.decode(video=0)):
            assert y.colorspace == x.colorspace == 1
            # colours mix where two bars meet; a wrong matrix or range would change whole bars by 5 or more
            assert (abs(x.to_ndarray().astype(int) - y.to_ndarray()) > 2).mean() < .05


@pytest.mark.parametrize('space, colour_range', [(5, 1), (1, 1), (9, 1), (1, 2)], ids=['601', '709', '2020', '709 full'])
def test_yuv_gives_the_same_as_bgr(tmp_path, frames, space, colour_range):
    "The file's own YUV planes give the same result as BGR, for each colour space."
    src = tmp_path/'src.mp4'
    with av.open(str(src), 'w') as out:
        v = out.add_stream('libx264', rate=25, options={'crf': '5'})
        v.width, v.height, v.pix_fmt = 400, 300, 'yuv420p'
        v.codec_context.colorspace, v.codec_context.color_range = space, colour_range
        for img in frames[:4]:
            out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24').reformat(
                format='yuv420p', dst_colorspace=space, dst_color_range=colour_range)))
        out.mux(v.encode())
    results = []
    for yuv in (True, False):
        blurrer = Blurrer()
        assert blurrer.accepts_yuv
        blurrer.background.accepts_yuv = yuv
        # nearly lossless, because we don't compare the encoder
        blur_video(src, tmp_path/f'{yuv}.mp4', blurrer, progress=False, encoding=Encoding(4))
        with VideoReader(tmp_path/f'{yuv}.mp4') as reader: results.append([to_bgr(f) for f in reader])
        assert not blurrer.n_failed and reader.video.codec_context.colorspace == space
    for a, b, img in zip(*results, frames):
        apart = cv2.absdiff(a, b)
        assert apart.mean() < 1 and np.quantile(apart, .999) < 12
        # the person keeps the colours of the source
        assert cv2.absdiff(a, img)[150:200, 180:220].mean() < 4


def test_stills(tmp_path):
    result = bgblur('video', CLIP, '-o', tmp_path/'a.mp4', '--stills', 100, '--stills-dir', tmp_path/'s')
    assert result.returncode == 0
    assert sorted(p.name for p in (tmp_path/'s').iterdir()) == ['frame_000000.jpg', 'frame_000100.jpg', 'frame_000200.jpg']
    one_sentence(bgblur('video', CLIP, '-o', tmp_path/'b.mp4', '--stills', 50, '--stills-dir', tmp_path/'s'), 'already contains stills')
    assert not (tmp_path/'b.mp4').exists()


@pytest.mark.parametrize('stills_dir', ['there.mp4', 'there.mp4/x', '/proc/nope'])
def test_unusable_stills_folder_is_found_before_the_work(bad, stills_dir):
    one_sentence(bgblur('video', CLIP, '-o', 'a.mp4', '--stills', 5, '--stills-dir', stills_dir, cwd=bad), 'Stills cannot')
    assert not (bad/'a.mp4').exists()


def test_truncated_clip_is_written_and_reported(tmp_path):
    (tmp_path/'whole.mkv').write_bytes(b'')
    assert bgblur('video', CLIP, '-o', tmp_path/'whole.mkv', '--overwrite', '-q').returncode == 0
    (tmp_path/'cut.mkv').write_bytes((tmp_path/'whole.mkv').read_bytes()[:150_000])
    result = bgblur('video', tmp_path/'cut.mkv', '-q')
    assert result.returncode == 1 and 'ended early' in result.stderr
    assert 20 < len(times(tmp_path/'cut-blurred.mkv')) < 230


def test_raw_h264_gets_timestamps(tmp_path, frames):
    with av.open(str(tmp_path/'raw.h264'), 'w', format='h264') as out:
        v = out.add_stream('libx264', rate=25)
        v.height, v.width, v.pix_fmt = 300, 400, 'yuv420p'
        for img in frames[:10]: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())
    assert bgblur('video', tmp_path/'raw.h264').returncode == 0
    got = times(tmp_path/'raw-blurred.mp4')
    assert len(got) == 10 and abs(got[-1] - got[0] - Fraction(9, 25)) < Fraction(1, 100)


def test_name_too_long(tmp_path):
    one_sentence(bgblur('video', CLIP, '-o', tmp_path/('n'*300 + '.mp4')))


def test_reports_unless_quiet(tmp_path):
    report = bgblur('video', CLIP, '-o', tmp_path/'a.mp4')
    # a log gets at most a line per tenth, and none for a short clip
    assert '250 frames' in report.stdout and report.stderr.count('frames/s') <= 10
    quiet = bgblur('video', CLIP, '-o', tmp_path/'a.mp4', '--overwrite', '--quiet')
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, '', '')


@pytest.mark.skipif(sys.platform == 'win32', reason='needs a terminal of Unix')
def test_progress_bar_on_a_terminal(tmp_path):
    "The bar moves within one line."
    import fcntl
    import pty
    import struct
    import termios
    main, terminal = pty.openpty()
    # a new terminal has no size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('4H', 24, 100, 0, 0))
    run = subprocess.Popen([BIN/'bgblur', 'video', CLIP, '-o', tmp_path/'a.mp4'], stderr=terminal, stdout=subprocess.DEVNULL)
    os.close(terminal)
    shown = b''
    while True:
        # a closed terminal ends with an error on Linux, with nothing elsewhere
        try: part = os.read(main, 4096)
        except OSError: break
        if not part: break
        shown += part
    assert run.wait() == 0 and b'250/250' in shown and shown.count(b'\n') == 1


def test_learner_as_model(tmp_path, frames):
    cv2.imwrite(str(tmp_path/'me.png'), frames[0])
    result = bgblur('image', 'me.png', '--model', LEARNER, '--trust', cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, 'me-blurred.png\n', '')
    assert cv2.imread(str(tmp_path/'me-blurred.png')).shape == frames[0].shape


@pytest.mark.parametrize('name', ['-dash.mp4', "o'clock \"now\".mp4", 'Grüße 你好.mp4', 'http:x.mp4', 'a%d.mp4'])
def test_names(tmp_path, frames, name):
    write_clip(tmp_path/'plain.mp4', frames[:3]).rename(tmp_path/name)
    assert bgblur('video', '--', name, cwd=tmp_path).returncode == 0
    assert (tmp_path/name.replace('.mp4', '-blurred.mp4')).stat().st_size > 1000


def test_result_has_default_permissions(tmp_path, frames):
    src = write_clip(tmp_path/'a.mp4', frames[:3])
    assert bgblur('video', src, umask=0o027).returncode == 0
    assert (tmp_path/'a-blurred.mp4').stat().st_mode & 0o777 == 0o640


def test_main_person_only(tmp_path, frames):
    "Of two people side by side, the larger one stays sharp, the smaller one only with --people all."
    a, b = frames[0], cv2.copyMakeBorder(cv2.resize(frames[0], (240, 180)), 120, 0, 80, 80, cv2.BORDER_REPLICATE)
    two = np.hstack([a, b])
    cv2.imwrite(str(tmp_path/'two.png'), two)
    face = np.s_[200:230, 590:610]      # the smaller face
    changed = {}
    for who in ('all', 'main'):
        assert bgblur('image', tmp_path/'two.png', '-o', tmp_path/f'{who}.png', '--people', who).returncode == 0
        changed[who] = cv2.absdiff(cv2.imread(str(tmp_path/f'{who}.png')), two)
    assert changed['all'][face].max() == 0 and changed['main'][face].mean() > 3
    assert changed['main'][130:200, 180:220].max() == 0


def test_edge_widens_the_matte(tmp_path, frames):
    cv2.imwrite(str(tmp_path/'me.png'), frames[0])
    alphas = {}
    for edge in (-8, 0, 8):
        assert bgblur('image', tmp_path/'me.png', '-b', 'none', '-o', tmp_path/f'{edge}.png', '--edge', edge).returncode == 0
        alphas[edge] = cv2.imread(str(tmp_path/f'{edge}.png'), cv2.IMREAD_UNCHANGED)[..., 3].astype(int)
    assert (alphas[-8] <= alphas[0]).all() and (alphas[0] <= alphas[8]).all()
    assert alphas[-8].sum() < .98*alphas[0].sum() and alphas[8].sum() > 1.02*alphas[0].sum()


def test_version():
    import bgblur as package
    assert bgblur('--version').stdout.strip() == package.__version__


def test_models_are_listed():
    result = bgblur('models')
    assert result.returncode == 0 and result.stdout.startswith('person')


def help_of(*command): return bgblur(*command, '--help', env=os.environ | {'COLUMNS': '80'})


COMMANDS = [[], ['video'], ['image'], ['live'], ['app'], ['bench'], ['models']]


@pytest.mark.parametrize('command', COMMANDS, ids=lambda c: ' '.join(c) or 'bgblur')
def test_help_is_readable_in_80_columns(command):
    result = help_of(*command)
    assert (result.returncode, result.stderr) == (0, '') and result.stdout.startswith(f"Usage: {' '.join(['bgblur', *command])}")
    lines = result.stdout.split('\n')
    assert max(map(len, lines)) <= 80
    assert 'not given' not in result.stdout
    assert '  Examples:' in lines and lines[-2].startswith('    bgblur ')


@pytest.mark.parametrize('command', COMMANDS[1:], ids=lambda c: c[0])
def test_each_option_has_a_help_sentence(command):
    for option in get_command(app).commands[command[0]].params:
        for sentence in option.help.split('  [default')[0].replace('. ', '.\n').split('\n'):
            assert sentence[0].isupper() and sentence[-1] == '.' or option.name == 'help', option.name
            assert len(sentence) < 80, option.name


@pytest.mark.parametrize('command', ['video', 'image', 'live'])
def test_options_come_from_settings(command):
    options = {p.name: p for p in get_command(app).commands[command].params}
    for name, f in SETTINGS.items():
        assert options[name].help.startswith(f.metadata['help']) and options[name].default == f.default
        if f.metadata['hi'] is None: continue
        for value in (f.metadata['lo'] - 1, f.metadata['hi'] + 1):
            result = CliRunner().invoke(app, [command, f'--{name}', str(value)])
            assert result.exit_code == 2 and f"Invalid value for '--{name}'" in result.output, result.output


def test_options_come_from_encoding():
    options = {p.name: p for p in get_command(app).commands['video'].params}
    for name, f in declared(Encoding).items():
        assert f.metadata['help'] in options[name].help
        if name != 'quality': assert options[name].default == f.default
    for command in ('image', 'live'):
        others = {p.name: p for p in get_command(app).commands[command].params}
        assert {*declared(Encoding)} & {*others} == {'quality'}
        assert not others['quality'].multiple and 'file' not in others['quality'].help
    assert [p.opts for p in get_command(app).commands['video'].params].count(['--quality']) == 1 and options['quality'].multiple


# -- quality: one option for the matte and for the file

@pytest.fixture
def planned(monkeypatch):
    "Return a function that runs a command without its work. It returns its `Blurrer` and `Encoding`."
    seen = {}
    def stop(*args, encoding=None, **kwargs):
        seen.update(blurrer=next(a for a in (*args, *kwargs.values()) if isinstance(a, Blurrer)), encoding=encoding)
        raise typer.Exit
    # bgblur.live is also a function, so monkeypatch cannot find the module by its name
    for module, name in (('video', 'blur_video'), ('video', 'blur_image'), ('camera.command', 'Live')):
        monkeypatch.setattr(import_module(f'bgblur.{module}'), name, stop)
    def run(command, *args):
        seen.clear()
        src = {'video': [CLIP], 'image': [ROOT/'sample_data'/'rocket.jpg'], 'live': ['--source', CLIP, '--to', 'none']}[command]
        result = CliRunner().invoke(app, [command, *map(str, src + [*args])])
        assert result.exit_code == 0 and seen, result.output
        return seen['blurrer'], seen['encoding']
    return run


def check_recipe(blurrer, quality, **matte):
    "Check that the whole recipe of a quality reached a `Blurrer`, and that its matte has the values `matte`."
    recipe = QUALITIES[quality]
    assert blurrer.quality == recipe and blurrer.max_matte_height == recipe.matte_height
    assert {k: vars(blurrer.matte)[k] for k in {*recipe.matte, *matte}} == recipe.matte | matte


@pytest.mark.parametrize('command, default', [('video', 'good'), ('image', 'best'), ('live', 'fast')])
def test_quality_of_each_command(planned, command, default):
    check_recipe(planned(command)[0], default)
    for quality in QUALITIES:
        check_recipe(planned(command, '--quality', quality)[0], quality)
        check_recipe(planned(command, '--people', 'main', '--edge', -3, '--quality', quality)[0], quality, people='main', feather=-3)


@pytest.mark.parametrize('words, matte, file', [
    ([], 'good', 'good'), (['fast'], 'fast', 'good'), (['good'], 'good', 'good'), (['best'], 'best', 'best'), (['small'], 'good', 'small'), (['23'], 'good', 23),
    (['fast', '23'], 'fast', 23), (['23', 'fast'], 'fast', 23), (['best', 'small'], 'best', 'small'), (['small', 'best'], 'best', 'best'),
    (['best', 'good'], 'good', 'good'), (['best', 'fast', '0'], 'fast', 0), (['matte=best'], 'best', 'good'), (['file=best'], 'good', 'best'),
    (['best', 'file=good'], 'best', 'good'), (['file=51', 'matte=fast'], 'fast', 51),
], ids=lambda v: ' '.join(v) if isinstance(v, list) else str(v))
def test_quality_of_matte_and_file(planned, words, matte, file):
    blurrer, encoding = planned('video', *(arg for word in words for arg in ('--quality', word)))
    check_recipe(blurrer, matte)
    assert encoding == Encoding(file)


def test_printed_command_gives_each_combination(planned):
    for matte, file in product((None, *QUALITIES), ('small', 'good', 'best', 0, 22.5)):
        line = Settings(quality=matte).to_command('SRC', 'video', Encoding(file, codec='hevc'))
        blurrer, encoding = planned('video', *shlex.split(line)[3:])
        assert (blurrer.quality.name, encoding) == (matte or 'good', Encoding(file, codec='hevc')), line


@pytest.mark.parametrize('quality', QUALITIES)
def test_quality_changes_the_image(tmp_path, frames, quality):
    cv2.imwrite(str(tmp_path/'me.png'), frames[0])
    assert bgblur('image', 'me.png', '-o', 'a.png', '--quality', quality, cwd=tmp_path).returncode == 0
    assert (cv2.imread(str(tmp_path/'a.png')) == Blurrer(quality=quality)(frames[0])).all()


@pytest.mark.parametrize('word', ['fine', '52', '-1', 'nan', '', 'None', 'matte=small', 'matte=1', 'file=fast', 'sound=best', '=best', 'matte='])
def test_wrong_quality(tmp_path, word):
    words = ["'fast' or 'good' or 'best' for the matte", "'small' or 'good' or 'best' or a number from 0 to 51 for the file", f"got '{word}'."]
    one_sentence(bgblur('video', CLIP, '-o', tmp_path/'a.mp4', '--quality', 'fast', f'--quality={word}'), 'quality must be', *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('command', ['image', 'live'])
@pytest.mark.parametrize('word', ['small', '23', 'file=best'])
def test_quality_without_a_file(command, word):
    result = CliRunner().invoke(app, [command, '--quality', word])
    assert result.exit_code == 2 and "'fast', 'good', 'best'" in result.output


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows does not count the time of children')
def test_help_is_fast():
    "Measure CPU time, because other tests run in parallel. The best of three counts."
    def seconds():
        start = os.times()
        help_of('video')
        end = os.times()
        return end.children_user + end.children_system - start.children_user - start.children_system
    assert min(seconds() for _ in range(3)) < .5
