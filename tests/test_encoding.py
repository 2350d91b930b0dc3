"Test the size and quality of results: codecs, containers, the limit of the bit rate, and what the report says about it."
import os
import sys
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from conftest import CLIP, bgblur, one_sentence

from bgblur.core.errors import default_threads
from bgblur.core.settings import Encoding
from bgblur.io.encoder import CODECS, video_bit_rate, x264_options
from bgblur.io.files import VideoError
from bgblur.io.reader import VideoReader
from bgblur.io.writer import ALPHA_FORMATS, FORMATS
from bgblur.pipeline import BaseBlurrer
from bgblur.video import blur_video

SIZE = 320, 240
PAIRS = [(suffix, codec) for suffix, writer in FORMATS.items() for codec in writer.codecs]


class Plain(BaseBlurrer):
    "Return each frame unchanged: replaces a `Blurrer` where the blur is not tested."
    accepts_yuv = True
    def __call__(self, frame, time=None): return frame


def blur(src, dst, *args, **kwargs):
    return blur_video(src, dst, Plain(), progress=False, overwrite=True, encoding=Encoding(*args, **kwargs))


def moving(frames, n=50, noise=0):
    "Return `n` frames that move by fractions of a pixel, with noise of a camera."
    rng, imgs = np.random.default_rng(0), []
    for i in range(n):
        shift = np.float32([[1, 0, 12*np.sin(i/4)], [0, 1, 7*np.cos(i/5)]])
        img = cv2.warpAffine(cv2.resize(frames[i], SIZE), shift, SIZE, borderMode=cv2.BORDER_REFLECT)
        imgs.append(cv2.add(img, rng.normal(0, noise, img.shape), dtype=cv2.CV_8U) if noise else img)
    return imgs


def write(path, imgs, codec='libx264', options=None, rate=25, pts=None, tags=None):
    "Write `imgs` as a source. Return `path`."
    with av.open(str(path), 'w') as out:
        v = out.add_stream(codec, rate=rate, options={'crf': '23'} if options is None else options)
        v.height, v.width = imgs[0].shape[:2]
        v.pix_fmt = 'yuv420p'
        if pts: v.codec_context.time_base = Fraction(1, 1000)
        for k, x in (tags or {}).items(): setattr(v.codec_context, k, x)
        for i, img in enumerate(imgs):
            f = av.VideoFrame.from_ndarray(img, format='bgr24').reformat(format='yuv420p')
            if pts: f.pts, f.time_base = pts[i], v.codec_context.time_base
            out.mux(v.encode(f))
        out.mux(v.encode())
    return path


def luma(path):
    with av.open(str(path)) as c: return np.stack([f.to_ndarray()[:f.height] for f in c.decode(video=0)]).astype(np.float32)


def psnr(a, b): return 10*np.log10(255**2/np.square(a - b).mean())


def bit_rate(path):
    "Return the bits per second of the video packets, counted by hand."
    with av.open(str(path)) as c:
        packets = [p for p in c.demux(video=0) if p.size]
        span = float((max(p.pts for p in packets) - min(p.pts for p in packets))*packets[0].time_base)
        return 8*sum(p.size for p in packets)/(span*len(packets)/(len(packets) - 1))


def times(path):
    with av.open(str(path)) as c: return np.array([f.time for f in c.decode(video=0)])


@pytest.fixture(scope='module')
def lean(tmp_path_factory, frames):
    "A clip with motion, from a slow encoder that wastes nothing."
    return write(tmp_path_factory.mktemp('lean')/'lean.mp4', moving(frames, 100), options={'crf': '20', 'preset': 'slow'})


@pytest.fixture(scope='module')
def noisy(tmp_path_factory, frames):
    return write(tmp_path_factory.mktemp('noisy')/'noisy.mp4', moving(frames, 100, 12), options={'crf': '26', 'preset': 'medium'})


@pytest.mark.parametrize('suffix, codec', PAIRS)
def test_each_codec_in_each_container(tmp_path, frames, suffix, codec):
    "The result has this codec, all frames, their times, their looks and their colour tags."
    pts = np.cumsum([40, 20, 80, 33]*5).tolist() if suffix != '.avi' else None
    tags = dict(colorspace=1, color_primaries=1, color_trc=1, color_range=1)
    src = write(tmp_path/'src.mp4', moving(frames, 20), pts=pts, tags=tags)
    dst = tmp_path/f'dst{suffix}'
    blur(src, dst, 'best', codec)
    with av.open(str(dst)) as c:
        context = c.streams.video[0].codec_context
        assert context.codec.canonical_name == codec
        # Apple's players look for hvc1
        if codec == 'hevc' and suffix in ('.mp4', '.m4v', '.mov'): assert context.codec_tag == 'hvc1'
        frame = next(c.decode(video=0))
        assert frame.format.name == 'yuv420p'
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
        # AVI and VP9 have no place for these two
        if suffix != '.avi' and codec != 'vp9': assert (int(frame.color_primaries), int(frame.color_trc)) == (1, 1)
    a, b = luma(src), luma(dst)
    assert a.shape == b.shape and psnr(a, b) > 38
    apart = np.diff(times(src)) - np.diff(times(dst))
    assert abs(apart).max() < .0021


@pytest.mark.parametrize('codec', CODECS)
def test_words_and_numbers_are_in_order(tmp_path, lean, codec):
    "A better quality gives a larger file that is closer to the source."
    for qualities in (('small', 'good', 'best'), (40, 24, 8)):
        made = []
        for quality in qualities:
            blur(lean, tmp_path/'a.mp4', quality, codec)
            made.append((bit_rate(tmp_path/'a.mp4'), psnr(luma(lean), luma(tmp_path/'a.mp4'))))
        assert made == sorted(made) and made[0][0] < .8*made[1][0] and made[1][1] < made[2][1] - .5, made


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('name', ['lean', 'noisy'])
def test_limit_holds(tmp_path, request, name, codec):
    src = request.getfixturevalue(name)
    report = blur(src, tmp_path/'a.mp4', 'good', codec)
    assert bit_rate(tmp_path/'a.mp4') < 1.15*1.5*bit_rate(src)
    if codec == 'h264': assert report.notes == []


def test_limit_is_needed(tmp_path, noisy, monkeypatch):
    "Without the limit, the noisy clip would be too large."
    monkeypatch.setattr('bgblur.io.encoder.rate_limit', lambda *args: 1e9)
    report = blur(noisy, tmp_path/'a.mp4')
    assert bit_rate(tmp_path/'a.mp4') > 2*bit_rate(noisy)
    assert len(report.notes) == 1


def moving_quality(src, dst):
    "Return the PSNR of the frames that differ from the one before."
    a, b = luma(src), luma(dst)
    moves = np.abs(np.diff(a, axis=0)).mean((1, 2)) > 1
    return psnr(a[1:][moves], b[1:][moves])


def test_calm_parts_save_bits_for_motion(tmp_path, frames, monkeypatch):
    "With a buffer of half a second, each burst of motion would look worse."
    imgs = moving(frames, 100)
    src = write(tmp_path/'src.mp4', [img for i in range(4) for img in [imgs[0]]*75 + imgs[25*i:25*i + 25]], options={'crf': '16', 'preset': 'slow'})
    assert blur(src, tmp_path/'ours.mp4').notes == []
    monkeypatch.setattr('bgblur.io.encoder.limit_options', lambda limit, _: {'maxrate': str(round(limit)), 'bufsize': str(round(limit/2))})
    blur(src, tmp_path/'half.mp4')
    assert moving_quality(src, tmp_path/'ours.mp4') > moving_quality(src, tmp_path/'half.mp4') + .3


def test_motion_is_searched_finely_where_the_limit_is_reached(tmp_path, lean, monkeypatch):
    blur(lean, tmp_path/'ours.mp4')
    whole = replace(CODECS['h264'], options=lambda crf, preset, fine: x264_options(crf, preset, False))
    monkeypatch.setitem(CODECS, 'h264', whole)
    blur(lean, tmp_path/'whole.mp4')
    assert psnr(luma(lean), luma(tmp_path/'ours.mp4')) > psnr(luma(lean), luma(tmp_path/'whole.mp4')) + 1


@pytest.mark.parametrize('quality', ['best', 10])
def test_explicit_quality_has_no_limit_but_a_note(tmp_path, lean, quality):
    report = blur(lean, tmp_path/'a.mp4', quality)
    ratio = bit_rate(tmp_path/'a.mp4')/bit_rate(lean)
    assert ratio > 1.7
    assert report.notes == [f'the video has {ratio:.1f} times the bit rate of the source: use --quality small for a smaller file']
    assert str(report).endswith(report.notes[0])


def test_no_note_for_a_small_result(tmp_path, lean):
    assert blur(lean, tmp_path/'a.mp4', 35).notes == []
    assert blur(lean, tmp_path/'a.gif').notes == []


def test_source_of_a_better_codec(tmp_path, frames):
    "H.264 may need more bits than HEVC; the report says so."
    src = write(tmp_path/'src.mp4', moving(frames, 100, 3), 'libx265', {'crf': '20', 'preset': 'fast', 'x265-params': 'log-level=none'})
    report = blur(src, tmp_path/'a.mp4')
    ratio = bit_rate(tmp_path/'a.mp4')/bit_rate(src)
    assert 1.5 < ratio < 2.25 and 'times the bit rate' in report.notes[0]
    assert blur(src, tmp_path/'a.mp4', 'good', 'hevc').notes == []


@pytest.mark.parametrize('kind, codec', [('mp4', 'libx264'), ('mkv', 'libx264'), ('avi', 'mpeg4'), ('ts', 'libx264'), ('webm', 'libvpx'),
                                         ('h264', 'libx264'), ('flv', 'libx264')])
def test_bit_rate_of_the_source(tmp_path, frames, kind, codec):
    "Each container gives the bit rate of the video alone."
    src = write(tmp_path/f'src.{kind}', moving(frames, 50), codec, {'b': '600k'} if codec != 'libx264' else None)
    copy = write(tmp_path/'copy.mkv', moving(frames, 50), codec, {'b': '600k'} if codec != 'libx264' else None)
    with VideoReader(src) as reader: assert video_bit_rate(reader) == pytest.approx(bit_rate(copy), rel=.1)


def test_bit_rate_leaves_the_sound_out(tmp_path, frames):
    imgs, path = moving(frames, 50), tmp_path/'a.mkv'
    with av.open(str(path), 'w') as out:
        v, a = out.add_stream('libx264', rate=25, options={'crf': '30'}), out.add_stream('pcm_s16le', rate=48000, layout='stereo')
        v.width, v.height, v.pix_fmt = *SIZE, 'yuv420p'
        for img in imgs: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 192000), np.int16), format='s16', layout='stereo')
        sound.rate, sound.pts = 48000, 0
        for part in (sound, None): out.mux(a.encode(part))
    with VideoReader(path) as reader: assert video_bit_rate(reader) == pytest.approx(bit_rate(path), rel=.05)


@pytest.mark.parametrize('name, kwargs, words', [
    ('a.webm', dict(codec='h264'), 'A .webm file cannot contain H.264: use vp9 or av1.'),
    ('a.avi', dict(codec='hevc'), 'A .avi file cannot contain HEVC: use h264.'),
    ('a.mov', dict(codec='av1'), 'A .mov file cannot contain AV1: use h264 or hevc.'),
    ('a.gif', dict(quality='best'), 'GIF has no quality to choose: leave out --quality.'),
    ('a.gif', dict(codec='h264'), 'GIF has no codec to choose: leave out --codec.'),
    ('a.mp4', dict(preset='5'), "H.264 has no preset '5': use one of ultrafast superfast"),
    ('a.mp4', dict(codec='vp9', preset='slow'), "VP9 has no preset 'slow': use one of 0 1 2"),
])
def test_wrong_combination(tmp_path, name, kwargs, words):
    with pytest.raises(VideoError) as e: blur(CLIP, tmp_path/name, **kwargs)
    assert str(e.value).startswith(words) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name, title', [('a.mov', 'ProRes 4444'), ('a', 'PNG')])
def test_transparent_formats_without_a_choice(tmp_path, name, title):
    with pytest.raises(VideoError, match=f'{title} has no quality to choose'):
        blur_video(CLIP, tmp_path/name, Plain(), progress=False, transparent=True, encoding=Encoding(18))
    assert list(tmp_path.iterdir()) == []


def test_transparent_webm_has_a_quality(tmp_path, frames):
    assert ALPHA_FORMATS['.webm'].codecs == ('vp9',)
    src, sizes = write(tmp_path/'src.mp4', moving(frames, 10)), []
    for quality in ('small', 'best'):
        blur_video(src, tmp_path/'a.webm', progress=False, overwrite=True, transparent=True, encoding=Encoding(quality))
        sizes.append((tmp_path/'a.webm').stat().st_size)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize('size, codec', [((16, 16), 'hevc'), ((8192, 16), 'av1'), ((32, 64), 'av1')])
def test_frames_too_small_for_the_codec(tmp_path, size, codec):
    src = write(tmp_path/'src.mp4', [np.full((*size[::-1], 3), 99, np.uint8)]*3)
    with pytest.raises(VideoError, match=f'needs frames of at least .* got {size[0]}x{size[1]}: use h264.'): blur(src, tmp_path/'a.mp4', codec=codec)
    blur(src, tmp_path/'a.mp4')


@pytest.mark.parametrize('codec', CODECS)
def test_best_number_can_be_played(tmp_path, frames, codec):
    "0 is the best quality that every player decodes: x264 would use a rare profile, SVT-AV1 its default quality."
    src = write(tmp_path/'src.mp4', moving(frames, 5))
    blur(src, tmp_path/'best.mp4', 'best', codec)
    blur(src, tmp_path/'a.mp4', 0, codec)
    with av.open(str(tmp_path/'a.mp4')) as c: assert '4:4:4' not in str(c.streams.video[0].codec_context.profile)
    assert psnr(luma(src), luma(tmp_path/'a.mp4')) > psnr(luma(src), luma(tmp_path/'best.mp4'))


@pytest.mark.parametrize('codec', CODECS)
def test_encoders_keep_to_the_number_of_threads(codec):
    options = CODECS[codec].options(20, None, False)
    n = default_threads()
    assert options.get('threads') == str(n) or f'lp={n}:' in options['svtav1-params']
    if codec == 'hevc': assert options['x265-params'].endswith(f'pools={n}')


@pytest.mark.parametrize('preset, codec', [('veryfast', 'h264'), ('ultrafast', 'hevc'), ('12', 'av1'), ('2', 'vp9')])
def test_presets(tmp_path, frames, preset, codec):
    src = write(tmp_path/'src.mp4', moving(frames, 10))
    blur(src, tmp_path/'a.mp4', 24, codec, preset)
    assert luma(tmp_path/'a.mp4').shape == luma(src).shape


@pytest.mark.skipif(sys.platform != 'linux', reason='the priorities of Linux')
@pytest.mark.parametrize('codec', CODECS)
def test_no_thread_has_real_time_priority(tmp_path, frames, codec):
    "SVT-AV1 takes it if root runs it, and then nothing else on the machine can run."
    seen = set()
    class Looks(Plain):
        def __call__(self, frame, time=None):
            seen.update(os.sched_getscheduler(int(t)) for t in os.listdir('/proc/self/task'))
            return frame
    blur_video(write(tmp_path/'src.mp4', moving(frames, 30)), tmp_path/'a.mp4', Looks(), progress=False, encoding=Encoding(codec=codec))
    assert seen.isdisjoint({os.SCHED_FIFO, os.SCHED_RR})


@pytest.mark.parametrize('codec', CODECS)
def test_encoders_print_nothing(tmp_path, frames, codec):
    src = write(tmp_path/'src.mp4', moving(frames, 5))
    result = bgblur('video', src, '-o', tmp_path/'a.mp4', '-q', '--codec', codec, '--quality', 30)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_quality_of_the_file_beside_that_of_the_matte(tmp_path, frames):
    "The option is repeated: 'fast' is for the matte alone, and the file gets its own word."
    src, sizes = write(tmp_path/'src.mp4', moving(frames, 20)), []
    for words in (['fast', 'small'], ['fast'], ['best', 'fast'], ['fast', '2']):
        options = [x for word in words for x in ('--quality', word)]
        result = bgblur('video', src, '-o', tmp_path/'a.mp4', '-q', '--overwrite', *options)
        assert (result.returncode, result.stderr) == (0, '')
        sizes.append((tmp_path/'a.mp4').stat().st_size)
    assert sizes == sorted(set(sizes)), sizes


@pytest.mark.parametrize('name, extra', [('a.gif', []), ('a.mov', ['-b', 'none']), ('a', ['-b', 'none'])])
def test_best_matte_in_a_format_without_a_quality(tmp_path, frames, name, extra):
    "The word is then only for the matte, and choosing it for the file is refused."
    src = write(tmp_path/'src.mp4', moving(frames, 3))
    for word in ('18', 'small', 'file=best'):
        one_sentence(bgblur('video', src, '-o', tmp_path/name, '-q', *extra, '--quality', word), 'has no quality to choose')
    result = bgblur('video', src, '-o', tmp_path/name, '-q', *extra, '--quality', 'best')
    assert (result.returncode, result.stderr) == (0, '') and (tmp_path/name).exists()


@pytest.mark.parametrize('args, words', [
    (['--quality', 'fine'], ['quality must be', "'small' or 'good' or 'best'", 'from 0 to 51']),
    (['--quality', '52'], ['quality must be']),
    (['--quality', 'nan'], ['quality must be']),
    (['--preset', 'warp'], ['H.264 has no preset']),
])
def test_wrong_options_of_the_command(tmp_path, args, words):
    one_sentence(bgblur('video', CLIP, '-o', tmp_path/'a.mp4', *args), *words)
    assert list(tmp_path.iterdir()) == []
