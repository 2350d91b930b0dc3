"Test unusual and damaged files: each gives the promised result, or is refused with one sentence (FAULTS.md)."
import random
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet
from av.video.reformatter import Interpolation
from conftest import ROOT, bgblur, one_sentence, run, sound, times, write_clip

from bgblur.io.files import VideoError
from bgblur.io.normalize import HLG, PQ, nits_to_pq, orientation
from bgblur.io.reader import VideoReader
from bgblur.pipeline import BaseBlurrer
from bgblur.video import blur_video

SMALL = 160, 120
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def plain(frame, time=None):
    "Return `frame`: replaces a `Blurrer` where the blur is not tested."
    return frame


class YuvPlain(BaseBlurrer):
    "Do the same with YUV frames."
    accepts_yuv = True
    def __call__(self, frame, time=None): return frame


def blur(src, dst=None, blurrer=plain, **kwargs):
    return blur_video(src, dst or src.with_name(f'{src.stem}-out.mp4'), blurrer, progress=False, overwrite=True, **kwargs)


def read_frames(path):
    with av.open(str(path)) as c: return [f.to_ndarray(format='bgr24', interpolation=EXACT) for f in c.decode(video=0)]


def encode(path, imgs, codec='libx264', pix_fmt='yuv420p', rate=25, fmt=None, options=None, pts=None, audio=(), tags=None, **ctx):
    "Write a clip of `imgs` with a tone for each codec in `audio`. Return `path`."
    with av.open(str(path), 'w', format=fmt) as out:
        v = out.add_stream(codec, rate=rate, options=options or ({'crf': '10'} if codec == 'libx264' else {}))
        v.height, v.width = imgs[0].shape[:2]
        v.pix_fmt = pix_fmt
        for k, x in ctx.items(): setattr(v.codec_context, k, x)
        tracks = [out.add_stream(a, rate=48000, layout='stereo') for a in audio]
        for i, img in enumerate(imgs):
            f = av.VideoFrame.from_ndarray(img, format='bgr24').reformat(format=pix_fmt, **(tags or {}))
            if pts: f.pts, f.time_base = pts[i], v.codec_context.time_base
            out.mux(v.encode(f))
        out.mux(v.encode())
        for k, a in enumerate(tracks):
            r = av.AudioResampler(format=a.codec_context.codec.audio_formats[0].name, layout='stereo', rate=48000)
            s = av.AudioFrame.from_ndarray(np.sin(np.outer([1, 1], np.arange(24000))*(k + 1)/20).astype(np.float32), format='fltp', layout='stereo')
            s.rate, s.pts = 48000, 0
            for part in (*r.resample(s), *r.resample(None)): out.mux(a.encode(part))
            out.mux(a.encode())
    return path


@pytest.fixture(scope='module')
def small(frames): return [cv2.resize(f, SMALL, interpolation=cv2.INTER_AREA) for f in frames[:50]]


# -- incomplete downloads ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind, options', [('mkv', {}), ('mp4', {'movflags': '+faststart'})])
def test_truncated_at_twenty_points(tmp_path, small, kind, options):
    "The result contains all frames that can be decoded, and the report says if some are missing."
    whole = tmp_path/f'whole.{kind}'
    with av.open(str(whole), 'w', options=options) as out:
        v = out.add_stream('libx264', rate=25, options={'crf': '10', 'g': '10', 'bf': '2'})
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p'
        for img in small: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())
    data, counts = whole.read_bytes(), []
    for i in range(1, 21):
        cut = tmp_path/f'cut{i}.{kind}'
        cut.write_bytes(data[:len(data)*i//20])
        try: report = blur(cut)
        except VideoError as e:
            assert str(e).endswith('.') and not cut.with_name(f'cut{i}-out.mp4').exists()
            counts.append(0)
            continue
        counts.append(report.frames)
        assert len(times(report.path)) == report.frames and 0 < report.frames <= 50
        assert report.ended_early == (report.frames < 48)
    assert counts == sorted(counts) and counts[-1] == 50 and sum(n > 0 for n in counts) >= 17


def test_missing_index_is_one_sentence(tmp_path, small):
    "Without its end, an .mp4 whose index comes last cannot be decoded."
    src = write_clip(tmp_path/'a.mp4', small)
    data = src.read_bytes()
    src.write_bytes(data[:data.rfind(b'moov')])
    one_sentence(bgblur('video', src), 'not a video', 'incomplete')
    assert list(tmp_path.iterdir()) == [src]


FLIP = '''
import random, sys, warnings
from pathlib import Path
from bgblur.io.files import VideoError
from bgblur.video import blur_video
for path in sys.argv[1:]:
    path = Path(path)
    try:
        report = blur_video(path, path.with_name(path.stem + '-out.mp4'), lambda frame, time: frame, progress=False)
        print(path.name, report.frames, report.ended_early, report.n_undecodable, sep='|')
    except VideoError as e: print(path.name, e, sep='|')
'''


def test_flipped_bytes(tmp_path, small):
    "Each of fifty damaged copies gives a result or one sentence, and no other file remains."
    src = write_clip(tmp_path/'whole.mp4', small[:25])
    data, copies = src.read_bytes(), []
    for seed in range(50):
        rnd, bad = random.Random(seed), bytearray(data)
        for _ in range(rnd.choice([1, 5, 50])): bad[rnd.randrange(len(bad))] ^= 1 << rnd.randrange(8)
        copies.append(tmp_path/f'{seed}.{rnd.choice(["mp4", "mov"])}')
        copies[-1].write_bytes(bad)
    result = run(sys.executable, '-c', FLIP, *copies, timeout=120)
    assert result.returncode == 0 and 'Traceback' not in result.stderr, result.stderr
    lines = [line.split('|') for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == [c.name for c in copies]
    for name, n, *_ in lines:
        out = tmp_path/f'{Path(name).stem}-out.mp4'
        if n.isdecimal(): assert len(times(out)) == int(n) > 0
        else: assert n.endswith('.') and not out.exists(), n
    good = [int(line[1]) for line in lines if line[1].isdecimal()]
    assert len(good) > 30 and sum(n >= 20 for n in good) > 25
    assert any(line[3] != '0' for line in lines if len(line) > 2)      # damage is reported
    assert not list(tmp_path.glob('.*'))


def test_damage_in_the_middle_is_reported(tmp_path, small):
    src = encode(tmp_path/'a.mp4', small, options={'crf': '10', 'g': '10'})
    data = bytearray(src.read_bytes())
    with av.open(str(src)) as c: hit = [p.pos for p in c.demux(video=0) if p.size][20:23]
    for at in hit: data[at:at+60] = bytes(60)
    src.write_bytes(data)
    result = bgblur('video', src, '-q')
    assert result.returncode == 1 and 'damaged' in result.stderr and 'Traceback' not in result.stderr
    assert 40 <= len(times(tmp_path/'a-blurred.mp4')) < 50


def test_disk_that_fails_while_reading(tmp_path, small, monkeypatch):
    "If a USB stick is removed, the result contains the frames read until then."
    src = encode(tmp_path/'a.mp4', small)

    class Fails:
        def __init__(self, container): self.container = container
        def __getattr__(self, name): return getattr(self.container, name)

        def demux(self, *streams):
            for i, packet in enumerate(self.container.demux(*streams)):
                if i == 30: raise av.error.OSError(5, 'Input/output error')
                yield packet
    init = VideoReader.__init__

    def opened(self, *args):
        init(self, *args)
        self.container = Fails(self.container)
    monkeypatch.setattr(VideoReader, '__init__', opened)
    report = blur(src)
    assert report.ended_early and 'Input/output' in report.missing and report.frames == 30 == len(times(report.path))


# -- sizes ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind, word', [('mp4', 'no video track'), ('mkv', 'incomplete')])
def test_file_without_a_frame(tmp_path, kind, word):
    src = tmp_path/f'none.{kind}'
    with av.open(str(src), 'w') as out:
        v = out.add_stream('libx264', rate=25)
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p'
        out.start_encoding()
    one_sentence(bgblur('video', src, '-q'), word)
    assert list(tmp_path.iterdir()) == [src]


@pytest.mark.parametrize('w, h, n', [(160, 120, 1), (3, 3, 5), (8192, 16, 3), (16, 4096, 3), (161, 121, 3)])
def test_sizes(tmp_path, frames, w, h, n):
    "With the person model; odd sides become even."
    src = encode(tmp_path/'a.mkv', [cv2.resize(f, (w, h)) for f in frames[:n]], 'ffv1', 'yuv444p')
    report = blur(src, blurrer=None)
    got = read_frames(report.path)
    assert report.frames == n == len(got) and not report.n_failed and got[0].shape == (h + h % 2, w + w % 2, 3)


def test_size_that_changes_midway(tmp_path, small):
    "Browsers record such clips. All frames get the size of the first one, and nothing is cropped."
    src = tmp_path/'a.webm'
    with av.open(str(src), 'w') as out:
        v = out.add_stream('libvpx', rate=25)
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p'
        for img in small[:5]: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())
        other = av.CodecContext.create('libvpx', 'w')
        other.width, other.height, other.pix_fmt, other.time_base, other.framerate = 80, 120, 'yuv420p', Fraction(1, 25), 25
        for i, img in enumerate([*small[5:10], None]):
            f = None if img is None else av.VideoFrame.from_ndarray(np.ascontiguousarray(img[:, 40:120]), format='bgr24')
            if f: f.pts, f.time_base = 5 + i, Fraction(1, 25)
            for p in other.encode(f):
                p.stream = v
                out.mux(p)
    report = blur(src)
    got = read_frames(report.path)
    assert report.frames == 10 and {g.shape for g in got} == {(120, 160, 3)} and 'size changed' in report.notes[0]
    assert cv2.absdiff(got[8][:, 42:118], small[8][:, 42:118]).mean() < 6 and got[8][:, :36].mean() < 3


def test_oversized_frame_is_refused_before_decoding(tmp_path, small):
    src = encode(tmp_path/'a.avi', small[:2], 'mjpeg', 'yuvj420p')
    data = src.read_bytes()
    sides = np.array(SMALL, '<i4').tobytes()
    assert sides in data
    # in the header of the file, and in each frame
    data = data.replace(sides, np.array([100_000, 100_000], '<i4').tobytes())
    src.write_bytes(data.replace(bytes([0, 120, 0, 160]), bytes([255, 255, 255, 255])))
    one_sentence(bgblur('video', src, '-q'), 'a.avi')
    assert list(tmp_path.iterdir()) == [src]


# -- kinds of frame ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('degrees', [90, 180, 270])
@pytest.mark.parametrize('mirrored', [False, True])
def test_rotated_phone(tmp_path, small, degrees, mirrored):
    "The pixels of the result are upright."
    img = small[0]
    src = tmp_path/'a.mp4'
    with av.open(str(src), 'w') as out:
        v = out.add_stream('libx264', rate=25, options={'crf': '5'})
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p'
        v.set_display_rotation(-degrees, hflip=mirrored)
        for _ in range(3): out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())
    got = read_frames(blur(src, blurrer=YuvPlain()).path)[0]
    upright = np.rot90(img, -degrees//90)
    fits = [cv2.absdiff(np.ascontiguousarray(x), got).mean() if x.shape == got.shape else 99 for x in (upright, upright[:, ::-1], upright[::-1])]
    # FFmpeg versions mirror before or after rotating; only mirrored sources may come out mirrored
    assert min(fits) < 5 and (fits[0] < 5) == (not mirrored)
    with av.open(str(tmp_path/'a-out.mp4')) as c: assert not any(orientation(next(c.decode(video=0))))


@pytest.mark.parametrize('codec, pix_fmt', [('libx264', 'yuv444p'), ('libx264', 'yuv420p10le'), ('libx264', 'yuv422p10le'), ('libx264', 'gray'), ('libx264', 'yuvj420p'),
                                            ('libx264rgb', 'rgb24'), ('ffv1', 'gray10le'), ('ffv1', 'bgra'), ('prores_ks', 'yuv422p10le'),
                                            ('mjpeg', 'yuvj422p'), ('mpeg4', 'yuv420p'), ('rawvideo', 'yuyv422')])
def test_pixel_formats(tmp_path, small, codec, pix_fmt):
    "Frames with ten bits, in grey, with full range or in RGB look the same afterwards."
    src = encode(tmp_path/'a.mkv', small[:3], codec, pix_fmt, options={'qp': '5'} if 'x264' in codec else {})
    before, after = read_frames(src), read_frames(blur(src).path)
    assert len(after) == 3
    with av.open(str(tmp_path/'a-out.mp4')) as c: assert next(c.decode(video=0)).colorspace != 0     # 0 means RGB
    for a, b in zip(before, after):
        assert cv2.absdiff(a, b).mean() < 3 and abs(a.mean((0, 1)) - b.mean((0, 1))).max() < 1.5


@pytest.mark.parametrize('curve', [PQ, HLG], ids=['PQ', 'HLG'])
def test_hdr_becomes_standard(tmp_path, small, curve):
    "Ten bits and BT.2020 become eight bits and BT.709, and the result looks like the scene."
    src, scene = tmp_path/'a.mp4', small[0]
    light = 203*np.clip((scene[..., ::-1]/255)**2.4 @ np.float64([[.6274, .3293, .0433], [.0691, .9195, .0114], [.0164, .0880, .8956]]).T, 0, 1)
    if curve == PQ: code = nits_to_pq(light)
    else:
        e = light/1000/np.maximum((light @ [.2627, .6780, .0593])/1000, 1e-9)[..., None]**(.2/1.2)
        code = np.where(e <= 1/12, np.sqrt(3*e), .17883277*np.log(np.maximum(12*e - .28466892, 1e-9)) + .55991073)
    with av.open(str(src), 'w') as out:
        v = out.add_stream('libx264', rate=25, options={'qp': '5'})
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p10le'
        c = v.codec_context
        c.colorspace, c.color_range, c.color_primaries, c.color_trc = 9, 1, 9, curve
        for _ in range(3):
            out.mux(v.encode(av.VideoFrame.from_ndarray((np.clip(code, 0, 1)*65535).astype(np.uint16), format='rgb48le').reformat(
                format='yuv420p10le', dst_colorspace=9, dst_color_range=1)))
        out.mux(v.encode())
    report = blur(src)
    with av.open(str(report.path)) as c: f = next(c.decode(video=0))
    assert (f.format.name, f.colorspace, f.color_primaries, f.color_trc) == ('yuv420p', 1, 1, 1) and 'HDR' in str(report)
    got = f.to_ndarray(format='bgr24')
    assert cv2.absdiff(got, scene).mean() < 12 < cv2.absdiff(read_frames(src)[0], scene).mean()
    # tone mapping darkens bright parts a little, and nothing else
    dark = scene.max(-1) < 130
    assert cv2.absdiff(got, scene)[dark].mean() < 5


def test_interlaced_video_is_deinterlaced(tmp_path, frames):
    imgs = [np.ascontiguousarray(cv2.imread(str(ROOT/'sample_data'/'rocket.jpg'))[:424, 8*i:8*i+400]) for i in range(12)]
    mixed = [a.copy() for a in imgs[::2]]
    for m, b in zip(mixed, imgs[1::2]): m[1::2] = b[1::2]
    src = encode(tmp_path/'a.mp4', mixed, options={'x264-params': 'interlaced=1:tff=1', 'qp': '5'})
    report = blur(src)

    def combs(img): return cv2.absdiff(img[1:-1], cv2.addWeighted(img[:-2], .5, img[2:], .5, 0)).mean()
    before, after = read_frames(src), read_frames(report.path)
    assert len(after) == 6 and times(report.path) == times(src) and 'interlaced' in str(report)
    assert all(combs(b) < .6*combs(a) for a, b in zip(before[1:-1], after[1:-1]))


# -- times ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('late', [0, 10, 5000])
def test_late_start_stays_in_sync_with_the_sound(tmp_path, small, late):
    src = write_clip(tmp_path/'a.mkv', small, [round(40*i) + late for i in range(50)], time_base=Fraction(1, 1000))
    blur(src, tmp_path/'out.mkv')
    for a, b in zip(times(src), times(tmp_path/'out.mkv'), strict=True): assert abs(a - b) <= Fraction(1, 1000)
    assert [t for t, _ in sound(src)] == [t for t, _ in sound(tmp_path/'out.mkv')]
    blur(src, tmp_path/'out.mp4')
    apart = [times(p)[0] - sound(p)[0][0] for p in (src, tmp_path/'out.mp4')]
    assert abs(apart[0] - apart[1]) < .03      # an .mp4 puts AAC's priming samples before 0


def test_variable_rate_with_reordered_frames(tmp_path, small):
    pts = np.random.default_rng(1).integers(100, 9000, 50).cumsum().tolist()
    src = encode(tmp_path/'a.mp4', small, options={'crf': '20', 'bf': '3', 'b-adapt': '0'}, pts=pts, time_base=Fraction(1, 90000))
    with av.open(str(src)) as c: assert any(p.pts != p.dts for p in c.demux(video=0) if p.size)
    # the first frame is at 0, and the others keep their distance
    assert times(blur(src).path) == [t - times(src)[0] for t in times(src)]


def test_joined_recordings_play_through(tmp_path, small):
    "The times jump back. The second part continues where the first one ended, in sound and video."
    part = write_clip(tmp_path/'part.ts', small[:25])
    src = tmp_path/'joined.ts'
    src.write_bytes(part.read_bytes()*2)
    report = blur(src, tmp_path/'out.mkv')
    t = times(tmp_path/'out.mkv')
    assert len(t) == 50 and np.diff([float(x) for x in t]).min() > 0 and t[-1] - t[0] < 2.6
    s = [x for x, _ in sound(tmp_path/'out.mkv')]
    assert s == sorted(s) and abs(float(s[len(s)//2] - t[25])) < .3
    assert not report.n_undecodable


# -- tracks --------------------------------------------------------------------------------------------------------

def test_two_sound_tracks_are_copied(tmp_path, small):
    src = encode(tmp_path/'a.mkv', small, audio=('aac', 'ac3'))
    report = blur(src, tmp_path/'b.mkv')
    with av.open(str(report.path)) as b:
        assert [s.codec_context.name for s in b.streams.audio] == ['aac', 'ac3'] and report.audio == 'copied'
    for k in (0, 1):
        with av.open(str(src)) as a, av.open(str(report.path)) as b:
            assert [bytes(p) for p in a.demux(audio=k) if p.size] == [bytes(p) for p in b.demux(audio=k) if p.size]


@pytest.mark.parametrize('codec, kind, becomes', [('pcm_u8', 'mp4', 'aac'), ('flac', 'mov', 'aac'), ('libopus', 'mov', 'aac'), ('aac', 'webm', 'opus'),
                                                  ('alac', 'avi', 'mp3float'), ('libmp3lame', 'avi', 'mp3float'), ('libopus', 'webm', 'opus')])
def test_sound_that_the_container_cannot_store(tmp_path, small, codec, kind, becomes):
    src = encode(tmp_path/'a.mkv', small[:15], audio=(codec,))
    report = blur(src, tmp_path/f'out.{kind}')
    with av.open(str(report.path)) as c:
        assert c.streams.audio[0].codec_context.name == becomes
        heard = np.concatenate([f.to_ndarray().reshape(-1) for f in c.decode(audio=0)])
    assert np.abs(heard).max() > 0 and (report.audio == 'copied') == (becomes in codec or codec == 'libmp3lame')


ASS = b'''[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
'''


def with_subtitles(path, imgs, codec):
    "Write a clip with two subtitles, two chapters, a title and a location. Return `path`."
    with av.open(str(path), 'w') as out:
        v, s = out.add_stream('libx264', rate=25), out.add_stream(codec)
        v.width, v.height, v.pix_fmt = *SMALL, 'yuv420p'
        s.codec_context.time_base, s.codec_context.subtitle_header, s.metadata['language'] = Fraction(1, 1000), ASS, 'spa'
        out.metadata.update(title='A talk', location='+52.5+013.4/')
        out.set_chapters([{'id': i, 'start': 1000*i, 'end': 1000*(i + 1), 'time_base': Fraction(1, 1000), 'metadata': {'title': t}}
                          for i, t in enumerate(['Before', 'After'])])
        out.start_encoding()
        for img in imgs: out.mux(v.encode(av.VideoFrame.from_ndarray(img, format='bgr24')))
        out.mux(v.encode())
        for i, text in enumerate(['Good morning', 'Wie geht es, Zoë?']):
            p = s.codec_context.encode_subtitle(SubtitleSet.create(text=f'{i},0,Default,,0,0,0,,{text}'.encode(), start=0, end=500))
            p.pts = p.dts = 1000*i
            p.time_base, p.duration, p.stream = Fraction(1, 1000), 500, s
            out.mux(p)
    return path


def subtitles(path):
    "Return the language of the subtitles, and pairs of seconds and text."
    with av.open(str(path)) as c:
        s, said = c.streams.subtitles[0], []
        for p in c.demux(s):
            got = s.codec_context.decode2(p) if p.size else None
            for rect in got.rects if got else (): said.append((float(p.pts*p.time_base), rect.dialogue.decode().split(',', 0)[-1]))
        return s.language, [(t, x.strip()) for t, x in said if x.strip()]


@pytest.mark.parametrize('source, codec', [('a.mkv', 'srt'), ('a.mp4', 'mov_text'), ('a.mkv', 'ass')])
@pytest.mark.parametrize('kind', ['mp4', 'mov', 'mkv', 'webm'])
def test_subtitles_and_chapters_are_kept(tmp_path, small, source, codec, kind):
    src = with_subtitles(tmp_path/source, small, codec)
    blur(src, tmp_path/f'out.{kind}')
    language, said = subtitles(tmp_path/f'out.{kind}')
    assert said == [(0., 'Good morning'), (1., 'Wie geht es, Zoë?')]
    with av.open(str(tmp_path/f'out.{kind}')) as c:
        assert [(ch['start']*ch['time_base'], ch['metadata']['title']) for ch in c.chapters()] == [(0, 'Before'), (1, 'After')]
        assert c.metadata.get('title', c.metadata.get('TITLE')) == 'A talk' and '52.5' not in str(c.metadata)
    assert language == 'spa'


@pytest.mark.parametrize('kind', ['avi', 'gif'])
def test_subtitles_that_do_not_fit_are_reported(tmp_path, small, kind):
    report = blur(with_subtitles(tmp_path/'a.mkv', small[:5], 'srt'), tmp_path/f'out.{kind}')
    assert any('subtitles' in n and 'left out' in n for n in report.notes) and 'left out' in str(report)


def test_cover_image_is_left_out(tmp_path, small):
    "A cover image may show the sharp background."
    src = encode(tmp_path/'a.mp4', small[:5])
    with av.open(str(src)) as a, av.open(str(tmp_path/'b.mp4'), 'w') as b:
        v, cover = b.add_stream_from_template(a.streams.video[0]), b.add_stream('mjpeg', rate=1)
        cover.width, cover.height, cover.pix_fmt = *SMALL, 'yuvj420p'
        cover.disposition = av.stream.Disposition.attached_pic
        b.start_encoding()
        for p in a.demux(video=0):
            if p.size:
                p.stream = v
                b.mux(p)
        f = av.VideoFrame.from_ndarray(small[0], format='bgr24')
        b.mux(cover.encode(f))
        b.mux(cover.encode())
    with av.open(str(tmp_path/'b.mp4')) as c: assert len(c.streams.video) == 2
    with av.open(str(blur(tmp_path/'b.mp4').path)) as c: assert len(c.streams.video) == 1


def test_song_with_a_cover_is_not_a_video(tmp_path, small):
    with av.open(str(tmp_path/'song.mp4'), 'w') as out:
        a, cover = out.add_stream('aac', rate=48000, layout='mono'), out.add_stream('mjpeg', rate=1)
        cover.width, cover.height, cover.pix_fmt = *SMALL, 'yuvj420p'
        cover.disposition = av.stream.Disposition.attached_pic
        out.start_encoding()
        out.mux(cover.encode(av.VideoFrame.from_ndarray(small[0], format='bgr24')))
        out.mux(cover.encode())
        s = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format='fltp', layout='mono')
        s.rate, s.pts = 48000, 0
        for f in (s, None): out.mux(a.encode(f))
    with av.open(str(tmp_path/'song.mp4')) as c: assert len(c.streams.video) == 1
    with pytest.raises(VideoError, match='no video track'): blur(tmp_path/'song.mp4')


# -- kinds of file, and names --------------------------------------------------------------------------------------

CODECS = {'mp4': 'libx264', 'mov': 'libx264', 'mkv': 'ffv1', 'webm': 'libvpx-vp9', 'avi': 'mpeg4', 'gif': 'gif', 'ts': 'libx264', 'flv': 'libx264', 'mjpeg': 'mjpeg'}


@pytest.mark.parametrize('kind', CODECS)
def test_containers_in_and_out(tmp_path, small, kind):
    "To .mp4 and from .mp4, the frames keep their number, times and looks."
    codec = CODECS[kind]
    pix_fmt = {'gif': 'rgb8', 'mjpeg': 'yuvj420p'}.get(codec, 'yuv420p')
    src = encode(tmp_path/f'a.{kind}', small[:20], codec, pix_fmt, options={})
    report = blur(src)
    assert report.frames == 20 and not report.n_undecodable and not report.ended_early
    for a, b in zip(read_frames(src), read_frames(report.path), strict=True):
        a, b = (cv2.resize(x, (40, 30), interpolation=cv2.INTER_AREA) for x in (a, b))     # 4:2:0 cannot store the fine dither of a GIF
        assert cv2.absdiff(a, b).mean() < 3
    if kind in ('ts', 'flv', 'mjpeg'): return
    mp4 = encode(tmp_path/'b.mp4', small[:20], options={'qp': '5'})
    there = blur(mp4, tmp_path/f'c.{kind}').path
    for a, b in zip(read_frames(mp4), read_frames(there), strict=True): assert cv2.absdiff(a, b).mean() < (12 if kind == 'gif' else 5)
    for a, b in zip(times(mp4), times(there), strict=True): assert abs(a - b - times(mp4)[0] + times(there)[0]) <= Fraction(1, 100)


def test_frames_too_close_for_the_container(tmp_path, small):
    "AVI stores one frame rate: all frames remain. Browsers show no GIF frame for less than 1/50 s: some are left out."
    src = encode(tmp_path/'a.mkv', small[:6], pts=[0, 1, 2, 120, 121, 240], time_base=Fraction(1, 1000))
    assert len(times(blur(src, tmp_path/'out.avi').path)) == 6
    gif = blur(src, tmp_path/'out.gif')
    assert times(gif.path) == [0, Fraction(3, 25), Fraction(6, 25)] and any('left out' in n for n in gif.notes)


@pytest.mark.parametrize('name', ['two words.mp4', "it's \"quoted\".mp4", 'Zoë 日本 🙂.mp4', '-rf.mp4', '%03d.mp4', 'a:b|c.mp4', '$(x) & y;.mp4', '.mp4'])
def test_names(tmp_path, small, name):
    write_clip(tmp_path/'plain.mp4', small[:3]).rename(tmp_path/name)
    result = bgblur('video', '-o', f'{name[:-4]}-blurred.mp4', '--', name, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(times(tmp_path/f'{name[:-4]}-blurred.mp4')) == 3


def test_clip_without_a_person_is_reported(tmp_path):
    rocket = cv2.resize(cv2.imread(str(ROOT/'sample_data'/'rocket.jpg')), SMALL)
    result = bgblur('video', encode(tmp_path/'a.mp4', [rocket]*5))
    assert result.returncode == 0 and 'no person was found' in result.stdout


def test_track_that_begins_midway(tmp_path, small):
    "PyAV 18 stops where the track begins, PyAV 19 can continue. The result contains the frames before."
    src = encode(tmp_path/'a.flv', small, rate=Fraction(1, 10), options={'g': '5'})     # 50 frames of 10 s: FFmpeg only looks ahead for 90 s
    data = bytearray(src.read_bytes())
    size = int.from_bytes(data[-4:], 'big')      # of the last tag; the first byte of a tag is its type
    for _ in range(3): size += 4 + int.from_bytes(data[-size-8:-size-4], 'big')
    assert data[-4-size] == 9
    data[-4-size] = 8                            # video becomes sound
    src.write_bytes(data)
    report = blur(src)
    assert report.ended_early and 30 < len(times(report.path)) == report.frames < 50
    assert ('begins' in report.missing) == (int(av.__version__.partition('.')[0]) < 19)
