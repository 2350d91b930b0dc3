"Test what `bgblur image` keeps of a still: transparency, colours, date and camera, density. And what it says about the rest."
import struct
import sys
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from conftest import CLIP, ROOT, bgblur, one_sentence
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from bgblur.background import background_from
from bgblur.core.errors import BgblurError
from bgblur.io.colour import ADOBE_RGB, PRIMARIES, rgb_profile
from bgblur.io.image import load_image, read_image
from bgblur.pipeline import Blurrer, as_blurrer
from bgblur.video import blur_image

P3 = rgb_profile(PRIMARIES[12], name='Display P3')
HIDDEN = np.s_[:, :150]      # well inside the hidden part of `half`


@pytest.fixture(scope='module')
def frame():
    img = cv2.VideoCapture(str(CLIP)).read()[1]
    img[-60:, 150:250] = 30, 30, 220      # a red shirt
    return img


@pytest.fixture(scope='module')
def half(frame):
    "Return the frame as an image of Pillow. Its left part is transparent, and the person is partly in it."
    alpha = np.full(frame.shape[:2], 255, np.uint8)
    alpha[:, :160] = 0
    return Image.fromarray(np.dstack([frame[..., ::-1], alpha]))


def rgb(img): return Image.fromarray(np.ascontiguousarray(img[..., ::-1]))


def save(path, img, **kwargs):
    img.save(path, **kwargs)
    return path


def read(path): return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(path, rows, depth, colour, *chunks):
    "Write a PNG of rows of bytes, with any bit depth, colour type and further chunks. Return `path`."
    head = struct.pack('>IIBBBBB', rows.shape[1]*8//(depth*{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]), len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b''.join(b'\0' + r.tobytes() for r in rows))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + b''.join(chunks) + chunk(b'IDAT', pixels) + chunk(b'IEND', b''))
    return path


# -- transparency ------------------------------------------------------------------------------------------------------

def deep(half, big_endian=True):
    return (np.asarray(half).astype(np.uint16)*257).astype('>u2' if big_endian else '<u2')


def rgba_16(path, half): return png(path, deep(half).reshape(300, -1).view(np.uint8), 16, 6)


def keyed_rgb_16(path, half):
    "One colour of 16 bits is transparent."
    a = deep(half.convert('RGB'))
    a[:, :160] = 0x1234, 0x5678, 0x9abc
    return png(path, a.reshape(300, -1).view(np.uint8), 16, 2, chunk(b'tRNS', bytes.fromhex('123456789abc')))


def keyed_grey_16(path, half):
    a = deep(half.convert('L'))
    a[:, :160] = 0x1234
    return png(path, a.view(np.uint8), 16, 0, chunk(b'tRNS', b'\x12\x34'))


def keyed_grey_4(path, half):
    "One of 16 greys is transparent. Decoders scale the pixels to 8 bits, and must scale the key, too."
    a = np.asarray(half.convert('L'))//17
    a = np.where(a == 13, 12, a)
    a[:, :160] = 13
    return png(path, (a[:, ::2] << 4 | a[:, 1::2]).astype(np.uint8), 4, 0, chunk(b'tRNS', b'\0\x0d'))


def keyed_grey_1(path, half):
    a = np.asarray(half.convert('L').point(lambda x: 255))
    a = np.where(np.arange(400) < 160, 0, a)
    return png(path, np.packbits(a > 0, axis=1), 1, 0, chunk(b'tRNS', b'\0\0'))


def palette_4(path, half):
    p = half.convert('RGB').quantize(15)
    a = np.asarray(p).copy()
    a[:, :160] = 15
    colours = (bytes(p.getpalette()) + bytes(48))[:45] + bytes.fromhex('c0a080')
    return png(path, (a[:, ::2] << 4 | a[:, 1::2]).astype(np.uint8), 4, 3, chunk(b'PLTE', colours), chunk(b'tRNS', b'\xff'*15 + b'\0'))


def tiff(path, half, extra, planar=False, deep=False):
    "Write an uncompressed TIFF with alpha as fourth sample. `extra` 1: colours are multiplied by it, 2: they are not."
    a = np.asarray(half).astype('<u2' if deep else np.uint8)*(257 if deep else 1)
    if extra == 1: a = a*(a[..., 3:] > 0)
    h, w, n = a.shape
    data = np.moveaxis(a, -1, 0).tobytes() if planar else a.tobytes()
    strips = 4 if planar else 1
    bits = 8 + 2 + 12*11 + 4
    offsets, counts = bits + 8, bits + 24
    start = bits + 40
    size = len(data)//strips
    tags = [(256, 4, 1, w), (257, 4, 1, h), (258, 3, 4, bits), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, strips, offsets if planar else start),
            (277, 3, 1, 4), (278, 4, 1, h), (279, 4, strips, counts if planar else size), (284, 3, 1, 2 if planar else 1), (338, 3, 1, extra)]
    head = b'II*\0' + struct.pack('<IH', 8, len(tags)) + b''.join(struct.pack('<HHII', *t) for t in tags) + bytes(4)
    tables = struct.pack('<4H4I4I', *[16 if deep else 8]*4, *(start + i*size for i in range(4)), *[size]*4)
    path.write_bytes(head + tables + data)
    return path


KINDS = {
    'rgba.png': save, 'rgba.webp': lambda p, i: save(p, i, lossless=True, exact=True), 'lossy.webp': lambda p, i: save(p, i, quality=80),
    'alpha.avif': save, 'alpha.gif': save, 'grey.png': lambda p, i: save(p, i.convert('LA')), 'palette.png': lambda p, i: save(p, i.quantize(64)),
    'palette4.png': palette_4, 'rgba16.png': rgba_16, 'rgb16.png': keyed_rgb_16, 'grey16.png': keyed_grey_16, 'grey4.png': keyed_grey_4,
    'grey1.png': keyed_grey_1, 'plain.tif': lambda p, i: tiff(p, i, 2), 'multiplied.tif': lambda p, i: tiff(p, i, 1),
    'planes.tif': lambda p, i: tiff(p, i, 2, planar=True), 'deep.tif': lambda p, i: tiff(p, i, 2, deep=True), 'lzw.tif': lambda p, i: save(p, i, compression='tiff_lzw'),
}


@pytest.mark.parametrize('name', KINDS)
def test_hidden_stays_hidden(tmp_path, half, name):
    "However a file hides a part, a new background shows there, and a cutout has a hole."
    src = KINDS[name](tmp_path/name, half)
    still = load_image(src)
    assert still.img.shape == (300, 400, 4) and still.img[HIDDEN][..., 3].max() <= 2 and still.img[:, 170:, 3].min() >= 253
    blur_image(src, tmp_path/'green.png', Blurrer(background='#00ff00'))
    assert abs(read(tmp_path/'green.png')[HIDDEN].astype(int) - (0, 255, 0)).max() <= 3
    blur_image(src, tmp_path/'cut.png', transparent=True)
    assert read(tmp_path/'cut.png')[HIDDEN][..., 3].max() <= 2
    for kind in ('png', 'webp'):
        result = blur_image(src, tmp_path/f'blur.{kind}')
        assert np.array_equal(read(result)[..., 3], still.img[..., 3]) and not [n for n in result.notes if 'transparen' in n]
    result = blur_image(src, tmp_path/'blur.jpg')
    assert read(result)[HIDDEN].max() <= 3 and 'black' in result.notes[-1]


@pytest.mark.parametrize('background', [None, 'lens', '#00ff00', str(ROOT/'sample_data'/'rocket.jpg')])
def test_hidden_pixels_change_nothing(half, background):
    "Nothing of the result depends on what is hidden."
    a = np.asarray(half)[..., [2, 1, 0, 3]].copy()
    b = a.copy()
    b[:, :160, :3] = 255 - b[:, :160, :3]
    for call in ('__call__', 'with_alpha', 'cutout', 'alpha'):
        assert np.array_equal(*(getattr(Blurrer(background=background), call)(x) for x in (a, b)))


def test_partly_transparent_colours_are_not_darkened_twice(tmp_path, frame):
    "An image that is half transparent, on white, is the mean of itself and white where the person is."
    src = save(tmp_path/'half.png', Image.fromarray(np.dstack([frame[..., ::-1], np.full((300, 400), 128, np.uint8)])))
    face = np.s_[190:215, 205:230]
    blur_image(src, tmp_path/'white.png', Blurrer(background='white'))
    expected = frame[face]*(128/255) + 255*(127/255)
    assert abs(read(tmp_path/'white.png')[face] - expected).max() <= 2
    blur_image(src, tmp_path/'cut.png', transparent=True)
    cut = read(tmp_path/'cut.png')[face]
    assert abs(cut[..., 3].astype(int) - 128).max() <= 1 and np.array_equal(cut[..., :3], frame[face])


def test_function_gets_no_hidden_pixels(tmp_path, half):
    given = []
    result = blur_image(save(tmp_path/'a.png', half), tmp_path/'b.png', lambda frame, seconds: given.append(frame) or frame)
    as_blurrer(lambda frame, seconds: given.append(frame))(np.asarray(half))
    assert all(f.shape == (300, 400, 3) and not f[HIDDEN].any() for f in given) and len(given) == 2 and 'black' in result.notes[0]


def test_opaque_alpha_is_no_transparency(tmp_path, frame):
    "An image whose alpha is 255 everywhere gives what it gives without alpha."
    paths = [save(tmp_path/f'{i}.png', img) for i, img in enumerate((rgb(frame), rgb(frame).convert('RGBA')))]
    results = [read(blur_image(p, tmp_path/f'out-{p.name}')) for p in paths]
    assert results[1].shape == (300, 400, 3) and np.array_equal(*results) and load_image(paths[1]).img.shape == (300, 400, 3)


def test_transparent_background_is_over_black(tmp_path, half):
    path = save(tmp_path/'site.png', half)
    img = background_from(str(path)).img
    assert not img[HIDDEN].any() and np.array_equal(img[:, 160:], np.asarray(half)[:, 160:, 2::-1])


# -- colour ------------------------------------------------------------------------------------------------------------

SHIRT = np.s_[-40:-20, 180:220]


def shown(path):
    "Return the mean colour of the shirt as a viewer with colour management shows it, as RGB."
    img = Image.open(path)
    icc = img.info.get('icc_profile')
    if icc: img = ImageCms.profileToProfile(img, ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile('sRGB'), outputMode='RGB')
    return np.asarray(img.convert('RGB'))[SHIRT].reshape(-1, 3).mean(0)


def converted(frame, icc): return ImageCms.profileToProfile(rgb(frame), ImageCms.createProfile('sRGB'), ImageCms.ImageCmsProfile(BytesIO(icc)))


def grey_profile(gamma):
    "Return a profile for grey: that for RGB, with one curve."
    rgb = rgb_profile(PRIMARIES[1], gamma)
    n, = struct.unpack('>I', rgb[128:132])
    table = [struct.unpack('>4sII', rgb[132 + 12*i:144 + 12*i]) for i in range(n)]
    parts = {b'kTRC' if t == b'rTRC' else t: rgb[at:at + size] for t, at, size in table if t in (b'desc', b'wtpt', b'rTRC')}
    out, at = b'', 132 + 12*len(parts)
    for t, part in parts.items():
        out += struct.pack('>4sII', t, at, len(part))
        at += len(part)
    return struct.pack('>I', at) + rgb[4:16] + b'GRAY' + rgb[20:128] + struct.pack('>I', len(parts)) + out + b''.join(parts.values())


@pytest.mark.parametrize('name', ['p3.jpg', 'p3.png', 'p3.webp', 'p3.tif', 'p3.avif', 'adobe.jpg', 'p3-alpha.png', 'grey.jpg'])
def test_profile_is_converted(tmp_path, frame, name):
    "A viewer shows the same colours before and after, and the conversion is reported."
    icc = {'p3': P3, 'ad': rgb_profile(ADOBE_RGB, 563/256, 'Adobe RGB'), 'gr': grey_profile(1.)}[name[:2]]
    img = rgb(frame).convert('L') if name == 'grey.jpg' else converted(frame, icc)
    if 'alpha' in name: img.putalpha(Image.new('L', img.size, 254))
    src = save(tmp_path/name, img, icc_profile=icc, quality=97)
    result = blur_image(src, tmp_path/'out.png')
    assert abs(shown(src) - shown(result)).max() < 4 and 'to sRGB' in result.notes[0]
    # a viewer that ignores the profile shows another colour
    assert abs(np.asarray(Image.open(src).convert('RGB'))[SHIRT].reshape(-1, 3).mean(0) - shown(result)).max() > 8


def test_numbers_instead_of_a_profile(tmp_path, frame):
    "PNG with cICP (Display P3), or with the curve of an old Mac."
    data = np.asarray(converted(frame, P3)).reshape(300, -1)
    a = png(tmp_path/'a.png', data, 8, 2, chunk(b'cICP', bytes([12, 13, 0, 1])))
    old = rgb_profile(PRIMARIES[1], 1.8)
    b = png(tmp_path/'b.png', np.asarray(converted(frame, old)).reshape(300, -1), 8, 2, chunk(b'gAMA', struct.pack('>I', 55556)))
    for src in (a, b):
        still = load_image(src)
        assert cv2.absdiff(still.img, frame).mean() < 1.5 and 'to sRGB' in still.notes[0], src
    # screenshots state the ordinary curve
    plain = png(tmp_path/'c.png', frame[..., ::-1].reshape(300, -1), 8, 2, chunk(b'gAMA', struct.pack('>I', 45455)), chunk(b'sRGB', b'\0'))
    assert np.array_equal(load_image(plain).img, frame) and not load_image(plain).notes


def test_adobe_rgb_in_exif(tmp_path, frame):
    "Cameras write Adobe RGB as a text in EXIF."
    icc, exif = rgb_profile(ADOBE_RGB, 563/256), Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: 'R03'}
    still = load_image(save(tmp_path/'a.jpg', converted(frame, icc), quality=97, exif=exif))
    assert cv2.absdiff(still.img, frame)[SHIRT].mean() < 3 and 'Adobe RGB' in still.notes[0]


@pytest.mark.parametrize('icc', [b'nonsense', P3[:300], P3[:128] + b'\xff'*200, grey_profile(1.), bytes(100)])
def test_bad_profile_is_ignored(tmp_path, frame, icc):
    src = save(tmp_path/'a.png', rgb(frame), icc_profile=icc)
    still = load_image(src)
    assert np.array_equal(still.img, frame) and 'ignored' in still.notes[0]


def test_cmyk(tmp_path, frame):
    "Adobe stores CMYK inverted, in a JPEG. Without a profile the colours may differ, and that is said."
    for name in ('a.jpg', 'a.tif'):
        src = save(tmp_path/name, rgb(frame).convert('CMYK'))
        still = load_image(src)
        assert cv2.absdiff(still.img, frame).mean() < 8 and 'CMYK' in still.notes[0]


def test_image_background_is_converted(tmp_path, frame):
    path = save(tmp_path/'site.jpg', converted(frame, P3), icc_profile=P3, quality=97)
    assert cv2.absdiff(background_from(str(path)).img, frame)[SHIRT].mean() < 3


# -- date, camera, density -----------------------------------------------------------------------------------------------

def phone_photo(path, frame, orientation=6, **kwargs):
    "Write a photo as phones do: on its side, in Display P3, with date, camera, location, preview and texts. Return `path`."
    exif = Image.Exif()
    exif.update({0x010F: 'Acme', 0x0110: 'Phone 1', 0x0132: '2026:05:01 12:00:00', 0x0112: orientation, 0x8298: b'\xa9 M\xfcller',
                 0x010E: 'SECRET', 0x013B: 'Jo'})
    exif.get_ifd(0x8769).update({0x9003: '2026:05:01 12:00:00', 0x829A: IFDRational(1, 50), 0x8827: 200, 0xA434: 'Lens 35 mm', 0x927C: b'SECRET',
                                 0xA431: 'SECRET', 0x9286: b'SECRET'})
    exif.get_ifd(0x8825).update({1: 'N', 2: (48., 8., 6.), 0x1B: b'SECRET'})
    block = exif.tobytes()
    img = converted(frame, P3)
    if orientation == 6: img = img.transpose(Image.Transpose.ROTATE_90)
    return save(path, img, exif=block, icc_profile=P3, dpi=(300, 150), **kwargs)


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tif'])
def test_facts_of_a_photo(tmp_path, frame, kind):
    src = phone_photo(tmp_path/'a.jpg', frame, quality=97, xmp=b'<x>SECRET</x>', comment='SECRET')
    done = bgblur('image', src, '-o', tmp_path/f'out.{kind}')
    assert (done.returncode, done.stderr) == (0, '')
    lines = done.stdout.split('\n')
    assert lines[1:-1] == ['the colours were converted from Display P3 to sRGB',
                           'left out: location, maker notes, serial numbers, description, XMP, comment'], lines
    data = (tmp_path/f'out.{kind}').read_bytes()
    assert b'SECRET' in src.read_bytes() and b'SECRET' not in data
    out = Image.open(tmp_path/f'out.{kind}')
    assert out.size == (400, 300) and 'icc_profile' not in out.info
    exif = out.getexif()
    inner = exif.get_ifd(0x8769)
    assert [exif.get(t) for t in (0x010F, 0x0110, 0x0132, 0x013B)] == ['Acme', 'Phone 1', '2026:05:01 12:00:00', 'Jo']
    assert [inner.get(t) for t in (0x9003, 0x829A, 0x8827, 0xA434)] == ['2026:05:01 12:00:00', .02, 200, 'Lens 35 mm']
    assert not exif.get_ifd(0x8825) and not exif.get_ifd(1) and exif.get(0x0112, 1) == 1
    assert b'\xa9 M\xfcller' in data
    # it was turned, and its density with it
    assert load_image(tmp_path/f'out.{kind}').dpi == pytest.approx((150, 300), abs=.1)
    assert cv2.absdiff(read_image(tmp_path/f'out.{kind}'), frame)[SHIRT].mean() < 4


def test_preview_is_left_out(tmp_path, frame):
    "The preview in EXIF shows the sharp background."
    preview = BytesIO()
    rgb(frame).resize((160, 120)).save(preview, 'JPEG')
    small = preview.getvalue()
    at = 8 + 2 + 24 + 4
    first = struct.pack('>H', 2) + struct.pack('>HHII', 0x010F, 2, 4, int.from_bytes(b'Aco\0', 'big')) + struct.pack('>HHIHH', 0x0112, 3, 1, 1, 0)
    second = struct.pack('>HHHIHHHHIIHHIII', 3, 0x0103, 3, 1, 6, 0, 0x0201, 4, 1, at + 2 + 36 + 4, 0x0202, 4, 1, len(small), 0)
    block = b'Exif\0\0MM\0*\0\0\0\x08' + first + struct.pack('>I', at) + second + small
    src = save(tmp_path/'a.jpg', rgb(frame), exif=block)
    assert small in src.read_bytes()
    result = blur_image(src, tmp_path/'b.jpg')
    assert result.notes == ['left out: preview image'] and small[-200:] not in result.read_bytes()
    assert Image.open(result).getexif().get(0x010F) == 'Aco'


@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientation_is_applied(tmp_path, frame, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    ways = {2: 'FLIP_LEFT_RIGHT', 3: 'ROTATE_180', 4: 'FLIP_TOP_BOTTOM', 5: 'TRANSPOSE', 6: 'ROTATE_90', 7: 'TRANSVERSE', 8: 'ROTATE_270'}
    img = rgb(frame)
    if orientation > 1: img = img.transpose(Image.Transpose[ways[orientation]])
    for name in ('a.png', 'a.tif', 'a.webp'):
        src = save(tmp_path/name, img, exif=exif, **({'lossless': True} if name == 'a.webp' else {}))
        assert np.array_equal(load_image(src).img, frame), name
        assert Image.open(blur_image(src, tmp_path/f'out-{name}')).getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize('kind', ['jpg', 'png', 'tif', 'bmp'])
def test_unequal_density_is_kept(tmp_path, frame, kind):
    "The pixels of a scan or of a video frame need not be square."
    src = save(tmp_path/f'a.{kind}', rgb(frame), dpi=(204, 98))
    assert Image.open(blur_image(src, tmp_path/f'b.{kind}')).info['dpi'] == pytest.approx((204, 98), abs=.1)


def test_ratio_without_a_unit_is_kept(tmp_path, frame):
    jpeg = bytearray(save(tmp_path/'a.jpg', rgb(frame)).read_bytes())
    jpeg[13:18] = b'\0' + struct.pack('>HH', 4, 3)
    (tmp_path/'a.jpg').write_bytes(jpeg)
    png(tmp_path/'a.png', frame[..., ::-1].reshape(300, -1), 8, 2, chunk(b'pHYs', struct.pack('>IIB', 4, 3, 0)))
    for name in ('a.jpg', 'a.png'):
        x, y = Image.open(blur_image(tmp_path/name, tmp_path/f'b-{name}')).info['dpi']
        assert x/y == pytest.approx(4/3, abs=.01)


def test_bmp_reports_that_it_stores_no_date(tmp_path, frame):
    assert 'date and camera' in blur_image(phone_photo(tmp_path/'a.jpg', frame), tmp_path/'b.bmp').notes[-1]


@pytest.mark.parametrize('block', [b'Exif\0\0MM\0*\0\0\0\x08\xff\xff', b'Exif\0\0II*\0\xff\xff\xff\xff', b'Exif\0\0nonsense', b'Exif\0\0'])
def test_damaged_exif_loses_no_image(tmp_path, frame, block):
    src = save(tmp_path/'a.jpg', rgb(frame), exif=block)
    done = bgblur('image', src, '-o', tmp_path/'b.jpg')
    assert (done.returncode, done.stderr) == (0, '') and (tmp_path/'b.jpg').exists()
    for kind in ('png', 'webp'): assert np.array_equal(load_image(save(tmp_path/f'a.{kind}', rgb(frame), exif=block, lossless=True)).img, frame)


# -- several images, other formats, damage -------------------------------------------------------------------------------

@pytest.mark.parametrize('kind, words', [('gif', 'bgblur video'), ('png', 'bgblur video'), ('avif', 'bgblur video'), ('webp', 'first frame'),
                                         ('tif', 'first page'), ('mpo.jpg', 'other images')])
def test_first_of_several_images(tmp_path, frame, kind, words):
    imgs = [rgb(frame), rgb(frame[:, ::-1])]
    extra = {'format': 'MPO'} if 'mpo' in kind else {'duration': 100} if kind != 'tif' else {}
    src = save(tmp_path/f'a.{kind}', imgs[0], save_all=True, append_images=imgs[1:], **extra)
    done = bgblur('image', src, '-o', tmp_path/'b.png')
    assert (done.returncode, done.stderr) == (0, '') and words in done.stdout.split('\n')[1]
    face = np.s_[190:215, 205:230]
    assert cv2.absdiff(read(tmp_path/'b.png')[face], frame[face]).mean() < 12


def test_heic_without_its_decoder(tmp_path, monkeypatch):
    "The sentence says what to install."
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    for brands in (b'heic\0\0\0\0mif1heic', b'mif1\0\0\0\0mif1heic'):
        (tmp_path/'IMG_0001.HEIC').write_bytes(b'\0\0\0\x18ftyp' + brands + bytes(500))
        for call in (lambda: blur_image(tmp_path/'IMG_0001.HEIC', tmp_path/'b.jpg'), lambda: background_from(str(tmp_path/'IMG_0001.HEIC'))):
            with pytest.raises(BgblurError, match=r"pip install 'bgblur\[heic\]', or convert it to JPEG\.$"): call()


def test_heic(tmp_path, frame):
    pillow_heif = pytest.importorskip('pillow_heif')
    pillow_heif.register_heif_opener()
    src = phone_photo(tmp_path/'IMG_0001.HEIC', frame, quality=95)
    done = bgblur('image', src, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '') and 'Display P3' in done.stdout and 'location' in done.stdout
    out = tmp_path/'IMG_0001-blurred.jpg'
    assert Image.open(out).getexif()[0x0110] == 'Phone 1' and cv2.absdiff(read(out), frame)[SHIRT].mean() < 5
    half = Image.fromarray(np.dstack([frame[..., ::-1], np.where(np.arange(400) < 160, 0, 255)*np.ones((300, 1))]).astype(np.uint8))
    assert load_image(save(tmp_path/'a.heif', half)).img[HIDDEN][..., 3].max() == 0
    src.write_bytes(src.read_bytes()[:-3000])
    one_sentence(bgblur('image', src, '-o', tmp_path/'c.jpg'), 'damaged')


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tif', 'bmp', 'gif', 'avif'])
def test_truncated_image_is_one_sentence(tmp_path, frame, kind):
    "No decoder prints a line of its own, and nothing is written."
    src = save(tmp_path/f'a.{kind}', rgb(frame))
    data = src.read_bytes()
    for share in (.1, .9):
        src.write_bytes(data[:int(share*len(data))])
        one_sentence(bgblur('image', src, '-o', tmp_path/'b.png'), 'damaged' if share > .5 else '')
    assert [p.name for p in tmp_path.iterdir()] == [src.name]


def test_damaged_tiff_prints_nothing(tmp_path, frame):
    "LibTIFF prints a line of its own for each damaged strip, unless it is told not to."
    data = bytearray(save(tmp_path/'a.tif', rgb(frame), compression='tiff_lzw').read_bytes())
    data[20_000:20_400] = bytes(range(200))*2
    (tmp_path/'a.tif').write_bytes(data)
    one_sentence(bgblur('image', tmp_path/'a.tif', '-o', tmp_path/'b.png'), 'damaged')


def test_plain_image_is_read_as_opencv_reads_it(frame, tmp_path):
    "An ordinary JPEG or PNG gives the same pixels, and no notes."
    for name in ('a.jpg', 'a.png'):
        cv2.imwrite(str(tmp_path/name), frame)
        still = load_image(tmp_path/name)
        assert np.array_equal(still.img, read(tmp_path/name)) and (still.notes, still.exif) == ([], b'')
