"""Test that what goes in comes out: times, shape, colour, transparency and tracks of the source.

The inputs are what cameras, phones, television, browsers and editors write. Each test shows one case of a kind of fault."""
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from conftest import bgblur, one_sentence, read_frames, times
from test_faults import SMALL, blur, encode, plain

from bgblur.core.settings import Encoding
from bgblur.io.reader import VideoReader
from bgblur.pipeline import Blurrer
from bgblur.video import blur_video

MS = Fraction(1, 1000)


@pytest.fixture(scope='module')
def small(frames): return [cv2.resize(f, SMALL, interpolation=cv2.INTER_AREA) for f in frames[:50]]


def tone(seconds, layout='stereo', rate=48000):
    "Return a sound frame of 440 Hz."
    wave = np.sin(np.arange(int(seconds*rate))*2*np.pi*440/rate).astype(np.float32)
    n = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, n)[None], format='flt', layout=layout)
    frame.rate, frame.pts = rate, 0
    return frame


def write(path, imgs, pts=None, tick=Fraction(1, 25), sound=None, codec='aac', layout='stereo', video='libx264', fmt=None, offset=0,
          options=None, **ctx):
    "Write `imgs` at `pts*tick` seconds, with `sound` seconds of a tone that starts at 0. `offset` is added to all times."
    with av.open(str(path), 'w', format=fmt) as out:
        v = out.add_stream(video, rate=1/tick if not pts else 25, options=options or {})
        v.height, v.width = imgs[0].shape[:2]
        v.pix_fmt = 'yuvj420p' if video == 'mjpeg' else 'yuv420p'
        v.codec_context.time_base = tick
        for k, x in ctx.items(): setattr(v.codec_context, k, x)
        a = out.add_stream(codec, rate=48000, layout=layout) if sound else None
        packets = []
        for i, img in enumerate(imgs):
            f = av.VideoFrame.from_ndarray(img, format='bgr24')
            f.pts, f.time_base = pts[i] if pts else i, tick
            packets += v.encode(f)
        packets += v.encode()
        if a: packets += [*a.encode(tone(sound, layout)), *a.encode()]
        for p in sorted(packets, key=lambda p: p.dts*p.time_base):
            ticks = round(offset/p.time_base)
            p.pts, p.dts = p.pts + ticks, p.dts + ticks
            out.mux(p)
    return path


def spans(path):
    "Return first and last second of each track."
    with av.open(str(path)) as c:
        found = {}
        for p in c.demux():
            if not p.size or p.pts is None: continue
            start, end = found.get(p.stream.index, (p.pts*p.time_base, 0))
            found[p.stream.index] = min(start, p.pts*p.time_base), max(end, (p.pts + (p.duration or 0))*p.time_base)
        return {s.type: found[s.index] for s in c.streams if s.index in found}


def complete(report): return not report.is_incomplete and not report.ended_early


# -- times ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind', ['mp4', 'mov', 'mkv', 'webm'])
def test_duration_of_the_last_frame(tmp_path, small, kind):
    "The last frame of slides stays for seconds."
    src = tmp_path/'a.mp4'
    with av.open(str(src), 'w') as out:
        v = out.add_stream('libx264', rate=25, options={'bf': '0'})
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p'
        packets = [p for img in small[:5] for p in v.encode(av.VideoFrame.from_ndarray(img, format='bgr24'))] + v.encode()
        for p in packets:
            p.duration = round((2 if p is packets[-1] else Fraction(1, 25))/p.time_base)
            out.mux(p)
    with av.open(str(src)) as c: assert c.duration == pytest.approx(2_160_000, abs=1000)
    with av.open(str(blur(src, tmp_path/f'out.{kind}').path)) as c: assert c.duration == pytest.approx(2_160_000, abs=2000)


@pytest.mark.parametrize('offset', [Fraction(14, 10), 36000])
@pytest.mark.parametrize('kind', ['mp4', 'mkv'])
def test_stream_that_starts_at_any_time(tmp_path, small, offset, kind):
    "Television and live streams start at seconds or hours. The result starts at 0, and sound stays with the video."
    src = write(tmp_path/'a.ts', small[:25], sound=1, offset=offset, options={'bf': '0'})
    before = spans(src)
    assert before['video'][0] >= offset
    after = spans(blur(src, tmp_path/f'out.{kind}').path)
    assert min(s for s, _ in after.values()) < .03 and after['video'][1] < 1.2
    assert after['video'][0] - after['audio'][0] == pytest.approx(float(before['video'][0] - before['audio'][0]), abs=.003)


def test_pause_in_an_avi(tmp_path, small):
    "AVI has one frame rate. A clip that pauses gets a finer one, so no frame drifts away from the sound."
    pts = [*range(10), *range(60, 70)]
    src = write(tmp_path/'a.mp4', small[:20], pts, sound=3)
    assert times(blur(src, tmp_path/'out.avi').path) == [Fraction(k, 25) for k in pts]


@pytest.mark.parametrize('first, second', [(100, 0), (0, 3000)])
@pytest.mark.parametrize('kind', ['mp4', 'mkv'])
def test_joined_transport_streams(tmp_path, small, first, second, kind):
    "In television recordings the clock may start again. A jump is no pause."
    parts = [write(tmp_path/f'{k}.ts', small[:25], sound=1, offset=offset, options={'bf': '0'}) for k, offset in enumerate((first, second))]
    joined = tmp_path/'joined.ts'
    joined.write_bytes(b''.join(p.read_bytes() for p in parts))
    report = blur(joined, tmp_path/f'out.{kind}')
    got = times(report.path)
    assert len(got) == 50 and got == sorted(got) and got[-1] == pytest.approx(1.98, abs=.1)
    assert spans(report.path)['audio'][1] == pytest.approx(2, abs=.1)


@pytest.mark.parametrize('pts', [[*range(10), *range(30, 40)], [0, 1, 2, 3, 4, 25, 26, 27], [*range(0, 200, 25), 201, 202]])
def test_end_of_a_clip_with_reordered_frames(tmp_path, small, pts):
    "An MP4 states the distance to the next frame in the file, which is another one with B-frames."
    src = write(tmp_path/'a.mp4', small[:len(pts)], pts, options={'bf': '3', 'b-adapt': '0'})
    with av.open(str(src)) as c:
        duration = c.duration
        assert any(p.pts != p.dts for p in c.demux(video=0) if p.size)
    for kind in ('mp4', 'mkv'):
        with av.open(str(blur(src, tmp_path/f'out.{kind}').path)) as c: assert c.duration == pytest.approx(duration, abs=5_000)


def test_one_frame_in_ten_seconds_as_an_avi(tmp_path, small):
    src = write(tmp_path/'a.mp4', small[:5], [10*k for k in range(5)], Fraction(1))
    assert times(blur(src, tmp_path/'out.avi').path) == [10*k for k in range(5)]


def test_avi_with_reordered_frames(tmp_path, small):
    src = encode(tmp_path/'a.avi', small[:20], codec='mpeg4', options={'bf': '2'})
    with VideoReader(src) as r: got = [f.time for f in r.frames()]
    assert got == sorted(got) and len(got) == 20


def test_sound_in_an_avi(tmp_path, small):
    "AVI stores no times of sound: late sound gets silence in front, and a lost pause is reported."
    src = tmp_path/'a.mkv'
    with av.open(str(write(tmp_path/'b.mkv', small[:40], sound=.5))) as a, av.open(str(src), 'w') as out:
        tracks = {s: out.add_stream_from_template(s) for s in a.streams}
        for p in a.demux():
            if not p.size: continue
            if p.stream.type == 'audio': p.pts, p.dts = p.pts + 1000, p.dts + 1000
            p.stream = tracks[p.stream]
            out.mux(p)
    with av.open(str(blur(src, tmp_path/'out.avi').path)) as c:
        heard = np.concatenate([f.to_ndarray()[0] for f in c.decode(audio=0)])
    assert np.abs(heard[:44000]).max() < .05 and np.abs(heard[52800:67200]).max() > .2      # silent for one second


def test_avi_of_others(tmp_path, small):
    "FFmpeg gives each frame of H.264 in an AVI the time of the next one."
    src = write(tmp_path/'a.avi', small[:20], options={'bf': '0'})
    assert times(src)[0] > 0
    with VideoReader(src) as r: assert [f.time for f in r.frames()] == pytest.approx([k/25 for k in range(20)], abs=.001)


def test_gif_as_browsers_show_it(tmp_path, small):
    "A browser shows a delay of 1/100 s as 1/10 s. The number of repetitions is copied."
    from PIL import Image
    imgs = [Image.fromarray(i[..., ::-1]) for i in small[:4]]
    for loop, again in ((3, 3), (0, 0), (None, None)):
        imgs[0].save(tmp_path/'a.gif', save_all=True, append_images=imgs[1:], duration=[200, 40, 40, 300],
                     **({} if loop is None else {'loop': loop}))
        path = blur(tmp_path/'a.gif', tmp_path/'out.gif').path
        with Image.open(path) as out:
            assert out.info.get('loop') == again and out.n_frames == 4
            delays = []
            for k in range(4):
                out.seek(k)
                delays.append(out.info['duration'])
        assert delays == [200, 40, 40, 300]
    quick = blur(write(tmp_path/'b.mp4', small[:30], tick=Fraction(1, 60)), tmp_path/'quick.gif')
    assert min(b - a for a, b in zip(times(quick.path), times(quick.path)[1:])) >= Fraction(2, 100)
    assert 'left out' in ' '.join(quick.notes)


# -- complete or not ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind, codec, video', [('mkv', 'aac', 'libx264'), ('webm', 'libopus', 'libvpx'), ('mp4', 'aac', 'libx264')])
def test_sound_longer_than_the_video(tmp_path, small, kind, codec, video):
    report = blur(write(tmp_path/f'a.{kind}', small[:25], sound=5, codec=codec, video=video), tmp_path/'out.mp4')
    assert complete(report) and report.frames == 25


def test_video_that_starts_late(tmp_path, small):
    report = blur(write(tmp_path/'a.mkv', small[:25], [k + 12 for k in range(25)], sound=1.5))
    assert complete(report) and times(report.path)[0] == pytest.approx(12/25, abs=.03)


def test_frame_rate_that_drops(tmp_path, small):
    "The rate of the first seconds says nothing about the rest."
    pts = [*range(0, 400, 33), *range(1400, 13400, 1000)]
    report = blur(write(tmp_path/'a.mkv', small[:len(pts)], pts, MS))
    assert complete(report) and report.frames == len(pts)


def cut_without_encoding(src, dst, start):
    "Copy the packets of an MP4 and tell players to skip the first `start` seconds, as editors do."
    with av.open(str(src)) as a, av.open(str(dst), 'w') as out:
        v = out.add_stream_from_template(a.streams.video[0])
        for p in a.demux(video=0):
            if not p.size: continue
            shift = round(start/p.time_base)
            p.pts, p.dts, p.stream = p.pts - shift, p.dts - shift, v
            out.mux(p)
    return dst


def test_clip_cut_without_encoding(tmp_path, small):
    "The file stores frames from the last key frame on, and tells players to skip them."
    whole = write(tmp_path/'a.mp4', small, options={'g': '100', 'bf': '0'})
    cut = cut_without_encoding(whole, tmp_path/'cut.mp4', Fraction(30, 25))
    report = blur(cut)
    assert complete(report) and report.frames == 20
    shown = read_frames(report.path)
    assert cv2.absdiff(shown[0], small[30]).mean() < 4


def test_stream_that_starts_between_key_frames(tmp_path, small):
    "Its first frames cannot be decoded by any player, which is reported, but nothing is missing."
    src = write(tmp_path/'a.ts', small, options={'g': '20', 'bf': '0'}, sound=2)
    data = src.read_bytes()
    assert len(data) % 188 == 0
    with av.open(str(src)) as c: at = [p.pos for p in c.demux(video=0) if p.size][5]
    (tmp_path/'mid.ts').write_bytes(data[at//188*188:])
    report = blur(tmp_path/'mid.ts', tmp_path/'out.mp4')
    assert complete(report) and report.frames == 30 and any('key frame' in n for n in report.notes), report


def test_raw_streams_have_no_duration(tmp_path, small):
    for kind, video in (('h264', 'libx264'), ('mjpeg', 'mjpeg')):
        src = encode(tmp_path/f'a.{kind}', small[:25], codec=video, pix_fmt='yuvj420p' if kind == 'mjpeg' else 'yuv420p', fmt=kind)
        report = blur(src, tmp_path/f'{kind}.mp4')
        assert complete(report) and report.frames == 25


def test_missing_end_is_still_found(tmp_path, small):
    "In Matroska the header states a duration, which sound may fill alone."
    src = write(tmp_path/'a.mkv', small, sound=2)
    src.write_bytes(src.read_bytes()[:-src.stat().st_size//3])
    report = blur(src)
    assert report.ended_early and 'of 2.0 seconds' in report.missing
    result = bgblur('video', src, '-o', tmp_path/'b.mp4', '-q')
    assert result.returncode == 1 and 'ended early: it contains' in result.stderr


# -- shape -------------------------------------------------------------------------------------------------------------

def aspect(path):
    with av.open(str(path)) as c: return c.streams.video[0].sample_aspect_ratio


@pytest.mark.parametrize('kind', ['mp4', 'mov', 'mkv', 'webm'])
def test_shape_of_a_pixel(tmp_path, small, kind):
    "VP9 does not store it: only the container does."
    src = write(tmp_path/'a.mp4', small[:5], sample_aspect_ratio=Fraction(4, 3))
    assert aspect(src) == Fraction(4, 3)
    there = blur(src, tmp_path/f'b.{kind}').path
    assert float(aspect(there)) == pytest.approx(4/3, abs=.01)
    back = blur(there, tmp_path/'c.mp4').path
    assert float(aspect(back)) == pytest.approx(4/3, abs=.01)


@pytest.mark.parametrize('degrees', [0, 90])
def test_stills_have_square_pixels(tmp_path, small, degrees):
    "An image file cannot say that its pixels are wide, so it gets more of them."
    src = write(tmp_path/'a.mp4', small[:3], sample_aspect_ratio=Fraction(2))
    if degrees:
        data = bytearray(src.read_bytes())
        at = data.find(b'tkhd') + 44
        data[at:at+16] = np.array([0, 1 << 16, 0, -1 << 16], '>i4').tobytes()
        src.write_bytes(data)
    report = blur(src, stills=1, stills_dir=tmp_path/'stills')
    w, h = SMALL
    assert {cv2.imread(str(p)).shape[:2] for p in report.stills} == {(h, 2*w) if not degrees else (2*w, h)}
    cut = blur_video(src, tmp_path/'cut', Blurrer(), transparent=True, progress=False)
    assert cv2.imread(str(cut.path/'frame_000000.png'), -1).shape[:2] == ((h, 2*w) if not degrees else (2*w, h))


# -- transparency --------------------------------------------------------------------------------------------------------

GREEN = (0, 255, 0)


def half_transparent(path, imgs, codec, pix_fmt, options=None):
    "Write a clip whose left half is transparent, and shows a person there nevertheless."
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    with av.open(str(path), 'w') as out:
        v = out.add_stream(codec, rate=25, options=options or {})
        v.height, v.width = imgs[0].shape[:2]
        v.pix_fmt = pix_fmt
        for img in imgs:
            a = np.full(img.shape[:2], 255, np.uint8)
            a[:, :img.shape[1]//2] = 0
            f = av.VideoFrame.from_ndarray(np.dstack([img, a]), format='bgra')
            out.mux(v.encode(f.reformat(format=pix_fmt, interpolation=exact)))
        out.mux(v.encode())
    return path


HALVES = [('a.mov', 'prores_ks', 'yuva444p10le', {'profile': '4444'}), ('a.webm', 'libvpx-vp9', 'yuva420p', {'deadline': 'realtime'}),
          ('b.webm', 'libvpx', 'yuva420p', {'auto-alt-ref': '0'}), ('b.mov', 'png', 'rgba', {})]


@pytest.mark.parametrize('name, codec, pix_fmt, options', HALVES)
def test_what_a_clip_hides_stays_hidden(tmp_path, frames, name, codec, pix_fmt, options):
    imgs = [cv2.resize(f, (320, 240)) for f in frames[:4]]
    src = half_transparent(tmp_path/name, imgs, codec, pix_fmt, options)
    report = blur_video(src, tmp_path/'green.mp4', Blurrer(background='green'), progress=False)
    for img in read_frames(report.path):
        assert (cv2.absdiff(img, np.full_like(img, GREEN)).max(2)[:, :150] > 40).mean() < .01
        assert (cv2.absdiff(img, np.full_like(img, GREEN)).max(2)[:, 170:] > 40).mean() > .1      # the other half shows the person
    assert any('transparent' in n for n in report.notes)
    blurred = blur_video(src, tmp_path/'blurred.mp4', Blurrer(), progress=False)
    assert max(img[:, :150].max() for img in read_frames(blurred.path)) < 40
    cut = blur_video(src, tmp_path/'cut', Blurrer(), progress=False, transparent=True)
    alpha = [cv2.imread(str(p), -1)[..., 3] for p in sorted(cut.path.iterdir())]
    assert max(a[:, :155].max() for a in alpha) < 10 and min(a[:, 165:].max() for a in alpha) > 240


def test_transparent_gif(tmp_path, frames):
    from PIL import Image
    imgs = []
    for f in frames[:3]:
        rgba = np.dstack([cv2.resize(f, (320, 240))[..., ::-1], np.full((240, 320), 255, np.uint8)])
        rgba[:, :160, 3] = 0
        imgs.append(Image.fromarray(rgba))
    for kind, option in (('gif', {'disposal': 2}), ('webp', {'exact': True}), ('png', {'disposal': 1}), ('avif', {})):
        src = tmp_path/f'a.{kind}'
        imgs[0].save(src, save_all=True, append_images=imgs[1:], duration=80, **option)
        report = blur_video(src, tmp_path/f'{kind}.mp4', Blurrer(background='green'), progress=False)
        assert report.frames == 3
        for img in read_frames(report.path):
            assert (cv2.absdiff(img, np.full_like(img, GREEN)).max(2)[:, :150] > 40).mean() < .01


# -- colour ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('size, space', [((1280, 720), 1), ((640, 480), 5)])
def test_green_of_untagged_clips(tmp_path, frames, size, space):
    "A player assumes BT.709 for HD and BT.601 for SD if a clip names neither."
    src = encode(tmp_path/'a.mp4', [cv2.resize(frames[0], size)]*2)
    report = blur_video(src, tmp_path/'b.mp4', Blurrer(background='green'), progress=False)
    with av.open(str(report.path)) as c:
        frame = next(c.decode(video=0))
        assert frame.colorspace in (2, space)
        shown = frame.to_ndarray(format='bgr24', src_colorspace=space, interpolation=Interpolation.BILINEAR)[5, 5]
    assert np.abs(shown.astype(int) - GREEN).max() <= 4


# -- streams and tracks --------------------------------------------------------------------------------------------------

def two_videos(path, first, second, default):
    "Write two video tracks; `default` is the number of the one that players should show."
    with av.open(str(path), 'w') as out:
        tracks = [out.add_stream('libx264', rate=25) for _ in range(2)]
        for k, (v, imgs) in enumerate(zip(tracks, (first, second))):
            v.height, v.width = imgs[0].shape[:2]
            v.pix_fmt = 'yuv420p'
            v.disposition = av.stream.Disposition.default if k == default else 0
        for v, imgs in zip(tracks, (first, second)):
            for img in imgs: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
            out.mux(v.encode())
    return path


@pytest.mark.parametrize('kind, default', [('mkv', 1), ('mkv', None), ('mp4', 1)])
def test_small_preview_is_not_the_film(tmp_path, small, kind, default):
    preview = [cv2.resize(f, (64, 48)) for f in small[:3]]
    report = blur(two_videos(tmp_path/f'a.{kind}', preview, small[:20], default), tmp_path/'b.mp4')
    assert report.frames == 20 and read_frames(report.path)[0].shape[1::-1] == SMALL
    assert 'another video track (h264, 64x48) was left out' in report.notes


def test_stereo_sound_without_names_for_its_channels(tmp_path, small):
    "PCM in an AVI: an MP4 refuses it only at the end."
    src = write(tmp_path/'a.avi', small[:25], sound=1, codec='pcm_s16le', video='mjpeg')
    report = blur(src, tmp_path/'b.mp4')
    assert complete(report) and report.audio == 'converted to AAC'
    with av.open(str(report.path)) as c: assert c.streams.audio[0].layout.name == 'stereo'


def test_keep_audio(tmp_path, small):
    "Sound that an MP4 can hold is copied on request. What it refuses at its end is found before the work, and converted."
    keep = Encoding(keep_audio=True)
    assert blur(write(tmp_path/'a.mkv', small[:10], sound=.4, codec='ac3'), tmp_path/'a.mp4', encoding=keep).audio == 'copied'
    avi = write(tmp_path/'b.avi', small[:10], sound=.4, codec='pcm_s16le', video='mjpeg')
    assert blur(avi, tmp_path/'b.mp4', encoding=keep).audio == 'converted to AAC'


@pytest.mark.parametrize('codec, kind, becomes', [('ac3', 'mp4', 'aac'), ('eac3', 'mp4', 'aac'), ('pcm_s16le', 'mp4', 'aac'), ('mp2', 'mp4', 'aac'),
                                                  ('aac', 'mp4', 'aac'), ('flac', 'mp4', 'flac'), ('libopus', 'mp4', 'opus'),
                                                  ('ac3', 'mov', 'ac3'), ('ac3', 'mkv', 'ac3'), ('pcm_s16le', 'mov', 'pcm_s16le')])
def test_sound_that_browsers_play(tmp_path, small, codec, kind, becomes):
    report = blur(write(tmp_path/'a.mkv', small[:10], sound=.4, codec=codec), tmp_path/f'b.{kind}')
    with av.open(str(report.path)) as c: assert c.streams.audio[0].codec_context.codec.canonical_name == becomes
    assert report.audio == ('copied' if codec.removeprefix('lib') == becomes else 'converted to AAC')


@pytest.mark.parametrize('kind, channels', [('mp4', 8), ('webm', 8), ('avi', 2)])
def test_surround_sound(tmp_path, small, kind, channels):
    report = blur(write(tmp_path/'a.mkv', small[:10], sound=.4, codec='libopus', layout='7.1'), tmp_path/f'b.{kind}')
    with av.open(str(report.path)) as c: assert c.streams.audio[0].channels == channels
    assert any('mixed down' in n for n in report.notes) == (channels < 8)


@pytest.mark.parametrize('layout, codec, becomes', [('5.1(side)', 'ac3', '5.1'), ('5.0(side)', 'ac3', '5.0'), ('6.1', 'libopus', '5.1')])
def test_layouts_that_aac_has_names_for(tmp_path, small, layout, codec, becomes):
    kind = 'mp4' if codec == 'ac3' else 'mov'
    report = blur(write(tmp_path/'a.mkv', small[:10], sound=.4, codec=codec, layout=layout), tmp_path/f'b.{kind}')
    with av.open(str(report.path)) as c: assert c.streams.audio[0].layout.name == becomes


def test_order_of_channels_in_a_mov(tmp_path, small):
    "Editors write 7.1 in another order, and PyAV 18 crashes when it reads that."
    src = write(tmp_path/'a.mov', small[:10], sound=.4, codec='pcm_s24le', layout='7.1')
    data = bytearray(src.read_bytes())
    # Apple's number for L R C LFE Ls Rs Rls Rrs, in place of FFmpeg's bits
    at = data.find(b'chan') + 8
    data[at:at+8] = (128 << 16 | 8).to_bytes(4) + bytes(4)
    src.write_bytes(data)
    result = bgblur('video', src, '-o', tmp_path/'b.mp4')
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path/'b.mp4')) as c: assert c.streams.audio[0].layout.name == '7.1'


def with_extras(path, small):
    "Write a clip with a time code, two chapters, an attached file and a cover."
    with av.open(str(path), 'w') as out:
        v = out.add_stream('libx264', rate=25)
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p'
        v.metadata['timecode'] = '11:07:15:07'
        if path.suffix == '.mkv': out.add_attachment('font.ttf', 'application/x-truetype-font', bytes(range(256)))
        out.set_chapters([dict(id=k, start=400*k, end=400*k + 400, time_base=MS, metadata={'title': f'part {k}'}) for k in range(2)])
        for img in small[:20]: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())
    return path


@pytest.mark.parametrize('kind', ['mp4', 'mov', 'mkv', 'webm', 'avi'])
def test_time_code(tmp_path, small, kind):
    report = blur(with_extras(tmp_path/'a.mov', small), tmp_path/f'b.{kind}')
    with VideoReader(report.path) as r: kept = r.timecode
    assert kept == '11:07:15:07' and not report.notes if kind in ('mp4', 'mov', 'mkv') else 'the time code 11:07:15:07 was left out' in report.notes


def test_lost_chapters_are_reported(tmp_path, small):
    src = with_extras(tmp_path/'a.mkv', small)
    for name in ('b.avi', 'b.gif'): assert 'the chapters were left out' in blur(src, tmp_path/name).notes
    cut = blur_video(src, tmp_path/'cut', Blurrer(), transparent=True, progress=False)
    assert 'the chapters were left out' in cut.notes


def test_attached_fonts(tmp_path, small):
    src = with_extras(tmp_path/'a.mkv', small)
    with av.open(str(blur(src, tmp_path/'b.mkv').path)) as c:
        font = next(s for s in c.streams if s.type == 'attachment')
        assert font.metadata['filename'] == 'font.ttf' and font.data == bytes(range(256))
    assert 'the attached file font.ttf was left out' in blur(src, tmp_path/'b.mp4').notes


# -- a part of a clip ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind', ['mp4', 'mkv', 'ts', 'avi'])
def test_part_of_a_clip(tmp_path, small, kind):
    "Video and sound start and end together, at any frame."
    src = write(tmp_path/f'a.{kind}', small, sound=2, options={'g': '10', 'bf': '0'}, codec='libmp3lame' if kind == 'avi' else 'aac')
    report = blur_video(src, tmp_path/'part.mp4', plain, start=.52, end=1.4, progress=False)
    assert complete(report) and 22 <= report.frames <= 23
    k = 13 if report.frames == 22 else 12
    assert cv2.absdiff(read_frames(report.path)[3], small[k + 3]).mean() < 5
    found = spans(report.path)
    assert found['video'][0] == 0 and -.05 < found['audio'][0] < .05
    assert found['video'][1] == pytest.approx(.88, abs=.05) and found['audio'][1] == pytest.approx(.88, abs=.06)


def test_part_with_chapters(tmp_path, small):
    report = blur_video(with_extras(tmp_path/'a.mkv', small), tmp_path/'b.mkv', plain, start=.5, progress=False)
    with av.open(str(report.path)) as c: assert [(x['metadata']['title'], x['start']*x['time_base']) for x in c.chapters()] == [('part 1', 0)]
    assert any('time code' in n for n in report.notes)


def test_part_by_the_command(tmp_path, small):
    src = write(tmp_path/'a.mp4', small, sound=2)
    assert bgblur('video', src, '--start', '0:00.5', '--duration', '1', '-q').returncode == 0
    with av.open(str(tmp_path/'a-blurred.mp4')) as c: assert c.duration == pytest.approx(1_000_000, abs=50_000)
    for wrong in (('--start', 'soon'), ('--end', '1', '--duration', '1'), ('--end', '-1')):
        result = bgblur('video', src, '-o', tmp_path/'c.mp4', *wrong)
        assert result.returncode == 2 and 'Traceback' not in result.stderr and not (tmp_path/'c.mp4').exists()


def test_part_that_does_not_exist(tmp_path, small):
    src = write(tmp_path/'a.mp4', small[:25])
    with pytest.raises(Exception, match='no frame that can be decoded in this part'): blur_video(src, tmp_path/'b.mp4', plain, start=5, progress=False)
    with pytest.raises(Exception, match='end must come after the start'): blur_video(src, tmp_path/'b.mp4', plain, start=5, end=4, progress=False)
    assert not (tmp_path/'b.mp4').exists()


def test_address_is_printed_as_typed():
    for command in ('video', 'image'): one_sentence(bgblur(command, 'https://example.org/a.mp4'), 'https://example.org/a.mp4 is an address')


def test_unknown_side_data(tmp_path, small):
    "An animated AVIF may contain EXIF, a kind of data that PyAV cannot name."
    from PIL import Image
    imgs, exif = [Image.fromarray(i[..., ::-1]) for i in small[:3]], Image.Exif()
    exif[0x010F] = 'a camera'
    imgs[0].save(tmp_path/'a.avif', save_all=True, append_images=imgs[1:], duration=80, exif=exif)
    assert blur(tmp_path/'a.avif').frames == 3
