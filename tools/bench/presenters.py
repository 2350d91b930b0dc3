"""Make clips of presenters with known alpha: gesturing arms and hands, rendered in front of people from other sources.

    python tools/bench/presenters.py [CACHE] [--mattes FOLDER]

A hand model from npm gets a forearm with a sleeve. It follows a script of fast gestures, which cross the body and leave the
frame at its lower edge, and is rendered with the motion blur of a shutter that is open half of the time. The script writes
contact sheets (CACHE/quality/*.jpg) for inspection. The people are those of `quality_data.py`, or people from FOLDER:
photographs NAME.jpg with true mattes NAME.png, whose bodies sway. Camera noise and H.264 make frames less clean, not alpha.

    what            from                               licence
    --------------  ---------------------------------  -----------------------------------------------------------
    hand.glb        npm @webxr-input-profiles/assets   MIT, Amazon and contributors (a mesh of 2314 triangles)
"""
import argparse
import io
import json
import struct
import sys
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import quality_data
from quality_data import CACHE, H, W, fetch, keyed, longer_store, pan_and_zoom, place_person, spread

from bgblur.core.errors import BgblurError

FPS, SHUTTER = 25, .5                   # the shutter is open for half of each frame
RENDER_VERSION = 6                      # increase it when `render` changes: names of cached files contain it
FINGERS = ('index', 'middle', 'ring', 'pinky')
# For each finger joint: by how much it bends when the hand is a fist, in degrees
BEND = {'proximal': 70, 'intermediate': 95, 'distal': 60}


# -- the hand

def read_accessor(doc, data, i):
    "Return accessor `i` of a GLB file as an array."
    a = doc['accessors'][i]
    kind = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}[a['componentType']]
    width = {'SCALAR': 1, 'VEC2': 2, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}[a['type']]
    start = doc['bufferViews'][a['bufferView']].get('byteOffset', 0) + a.get('byteOffset', 0)
    return np.frombuffer(data, kind, a['count']*width, start).reshape(-1, width)


@lru_cache(1)
def read_hand(path):
    """Return the right hand: vertices `(n,3)` in metres, faces, weights `(n,joints)`, and name -> position of the joints.

    Axes: from the wrist to the fingers, from the little finger to the thumb, and out of the palm."""
    raw = Path(path).read_bytes()
    size, = struct.unpack('<I', raw[12:16])
    doc, data = json.loads(raw[20:20+size]), raw[28+size:]
    mesh = doc['meshes'][0]['primitives'][0]
    parts = {k: read_accessor(doc, data, i) for k, i in mesh['attributes'].items()}
    names = [doc['nodes'][j]['name'] for j in doc['skins'][0]['joints']]
    joints = np.array([doc['nodes'][j]['translation'] for j in doc['skins'][0]['joints']])
    weights = np.zeros((len(parts['POSITION']), len(names)))
    np.put_along_axis(weights, parts['JOINTS_0'].astype(int), parts['WEIGHTS_0'], 1)
    faces = read_accessor(doc, data, mesh['indices']).reshape(-1, 3).astype(int)
    # the file repeats vertices at texture seams
    points, first, same = np.unique(parts['POSITION'].round(5), axis=0, return_index=True, return_inverse=True)

    def axes(p): return np.stack([-p[:, 1], -p[:, 2], -p[:, 0]], 1) - [-joints[0][1], -joints[0][2], -joints[0][0]]
    return axes(points), same.reshape(-1)[faces], weights[first], dict(zip(names, axes(joints)))


def turn(points, about, axis, degrees):
    "Return `points` turned by an angle around an axis through the point `about`."
    r, _ = cv2.Rodrigues(np.radians(degrees)*np.asarray(axis, float)/np.linalg.norm(axis))
    return (points-about) @ r.T + about


def bend_fingers(hand, fist, spreading=0.):
    "Return the vertices of `hand` with its fingers bent: 0 is an open hand and 1 a fist."
    points, _, weights, joints = hand
    names, moved = list(joints), points.copy()
    for n, finger in enumerate(FINGERS):
        chain = [f'{finger}-finger-phalanx-{p}' for p in BEND]
        owned = [weights[:, names.index(c)] for c in chain]
        owned[-1] = owned[-1] + weights[:, names.index(f'{finger}-finger-tip')]
        # the tip first, so that every joint still is where the file has it
        for k in (2, 1, 0):
            share = np.clip(sum(owned[k:]), 0, 1)[:, None]
            angle = fist*list(BEND.values())[k]*(1+.08*n)
            new = turn(moved, joints[chain[k]], (0, 1, 0), -angle)
            if k == 0: new = turn(new, joints[chain[0]], (0, 0, 1), spreading*(1.5-n)*8)
            moved = moved*(1-share) + new*share
    thumb = np.clip(sum(weights[:, names.index(f'thumb-{p}')] for p in ('phalanx-proximal', 'phalanx-distal', 'tip')), 0, 1)[:, None]
    return moved*(1-thumb) + turn(moved, joints['thumb-phalanx-proximal'], (1, 0, .5), 35*fist)*thumb


def sleeve(length=.26):
    "Return vertices in metres and faces of a sleeve from behind the wrist to the elbow, with folds."
    n, rings = 28, 34
    u, v = np.meshgrid(np.linspace(0, 1, rings), np.arange(n)*2*np.pi/n, indexing='ij')
    folds = .0011*np.sin(38*u + 3*np.sin(v+1) + 2*np.sin(7*u)) + .0012*np.sin(17*u - 2*v) + .0007*np.sin(3*v + 61*u + 2*np.sin(11*u))
    r = .033 + .018*u - .006*u*u + folds*np.clip(4*u, .3, 1) + .002*np.exp(-(u/.03)**2)
    points = np.stack([.004 - length*u, 1.08*r*np.cos(v), .92*r*np.sin(v)], -1).reshape(-1, 3)
    i = np.arange((rings-1)*n).reshape(rings-1, n)
    j = np.roll(i, -1, 1)
    return points, np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((i, i+n, j), (j, i+n, j+n))])


def normals(points, faces):
    "Return the unit normal of each vertex."
    a, b, c = (points[faces[:, k]] for k in range(3))
    out = np.zeros_like(points)
    for k in range(3): np.add.at(out, faces[:, k], np.cross(b-a, c-a))
    return out/np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


# -- the movement

# A script is a list of poses for each arm, the person's left one first, which is at the right of the image. A pose is
# (pause in seconds, elbow's x and y, forearm's angle and length, roll and bend of the hand, fist). Positions are fractions of
# the frame's height, measured from the person's middle at the lower edge. The angle is 90 for a forearm that points up. The
# length is below 1 if the arm points towards or away from the camera. Roll is 0 if the palm is turned to the camera and 180
# for the back of the hand. The last pose is followed by the first one.
SCRIPTS = {
    'explain': (((.1, .22, -.24, 86, .95, 130, 5, .3), (.1, .2, -.2, 122, 1., 75, 15, .1), (.12, .24, -.2, 70, 1., 20, -8, .05),
                 (.04, .23, -.24, 80, .95, 30, 0, .15), (.1, .2, -.85, 88, .85, 100, 0, .4)),
                ((.06, -.2, -.5, 94, .9, 140, 0, .4), (.14, -.22, -.22, 108, 1., 30, 10, .1), (.05, -.22, -.25, 98, .95, 20, 10, .05),
                 (.1, -.2, -.22, 66, 1., 60, -8, .1))),
    'wave': (((.1, .22, -.8, 88, .85, 60, 0, .3), (0, .25, -.2, 68, 1., 5, 6, .05), (0, .25, -.19, 84, 1., 0, 14, .02),
              (0, .25, -.19, 66, 1., 0, -10, .02), (0, .25, -.19, 84, 1., 0, 14, .02), (0, .25, -.19, 66, 1., 0, -10, .02)),
             ((.3, -.25, -.85, 80, .8, 150, 0, .5), (.3, -.25, -.3, 66, .9, 140, -10, .6), (.1, -.24, -.28, 72, .9, 140, -5, .65))),
    'count': (((.1, .22, -.26, 98, .9, 175, 0, .9), (.04, .22, -.16, 104, 1., 178, 5, .95), (.3, .24, -.18, 78, 1., 185, 5, .1),
               (0, .25, -.3, 74, .95, 150, 0, .3), (.04, .26, -.7, 78, .8, 120, -10, .4)),
              ((.1, -.25, -.3, 76, .95, 90, -10, .4), (.1, -.24, -.26, 48, 1., 70, -15, .2), (.1, -.24, -.28, 60, 1.05, 65, -15, .15),
               (.1, -.25, -.6, 88, .9, 120, 0, .4))),
    # the only one with a hand far from the body
    'point': (((.04, .24, -.26, 80, .9, 100, 0, .5), (.16, .22, -.2, 128, 1., 80, 10, .3), (.04, .26, -.22, 72, 1., 60, -20, .1),
               (.3, .3, -.2, 52, 1.05, 45, -25, .05)),
              ((.04, -.36, -.3, 98, .9, 100, 10, .4), (.2, -.34, -.9, 92, .8, 130, 0, .5), (.04, -.25, -.22, 106, 1., 60, 0, .2),
               (.1, -.22, -.22, 58, 1., 30, -15, .1))),
}
SPEED = 1.3         # mean speed of a fingertip, in heights of the frame per second; the peak is almost twice as high
PER_METRE = 1.8     # a person at a desk: this many heights of the frame per metre
FOREARM, HAND = .26, .17


def fingertip(pose):
    "Return where the fingers of a pose are, as a fraction of the frame's height."
    x, y, angle, length, _, bend, fist = pose
    a, b = np.radians([angle, angle+bend])
    return np.array([x, y]) + PER_METRE*(FOREARM*length*np.array([np.cos(a), np.sin(a)])
                                         + HAND*(1-.5*fist)*np.array([np.cos(b), np.sin(b)]))


def timed(poses):
    "Return a script's poses without pauses, with the second at which each starts and ends, and the first one again at the end."
    out, t = [], 0.
    for (pause, *pose), (_, *after) in zip(poses, [*poses[1:], poses[0]]):
        out.append((t, t+pause, np.array(pose)))
        t += pause + max(.14, np.linalg.norm(fingertip(after)-fingertip(pose))/SPEED)
    return [*out, (t, t, out[0][2])]


def pose_at(poses, t):
    "Return the pose at second `t`: between two poses the arm moves with the least jerk, as people do."
    timeline = timed(poses)
    now = t % timeline[-1][0]
    i = max(k for k, (start, _, _) in enumerate(timeline[:-1]) if start <= now)
    (_, leaves, pose), (arrives, _, after) = timeline[i:i+2]
    s = np.clip((now-leaves)/(arrives-leaves), 0, 1)
    pose = pose + s**3*(10 - 15*s + 6*s*s)*(after-pose)
    # a raised hand is never perfectly still
    return pose + np.array([.004, .004, 1.2, 0, 3, 2, .02])*np.sin(t*np.array([5, 6.1, 8.3, 1, 4.1, 7, 3.3]) + poses[0][1]*20)


def place_arm(hand, pose, left, height, middle):
    "Return the vertices of hand and sleeve in pixels of a frame with `height` lines, with y down and z to the camera."
    x, y, angle, length, roll, bend, fist = pose
    scale = PER_METRE*height
    points, cloth = turn(bend_fingers(hand, fist, 1-fist), (0, 0, 0), (0, 0, 1), bend), sleeve()[0]*[length, 1, 1]
    u, v, w = turn(np.concatenate([points, cloth])*scale, (0, 0, 0), (1, 0, 0), -roll).T
    a = np.radians(angle)
    along, across = np.array([np.cos(a), -np.sin(a), 0]), np.array([np.sin(a), np.cos(a), 0])
    # the left hand is the right one in a mirror, so both palms turn inwards
    out = u[:, None]*along + (-v if left else v)[:, None]*across + w[:, None]*[0, 0, 1]
    return out + [middle + x*height, height - y*height, 0] + FOREARM*length*scale*along


# -- rendering

LIGHT = np.array([-.35, -.6, .72])
OVER = 2            # the canvas is this many times as large as the frame


def shade(normal, points, cloth):
    "Return the brightness of each vertex, about .4 to 1.1: soft light from above, and skin or cloth that isn't of one colour."
    light = np.clip((normal @ LIGHT)*.5 + .5, 0, 1)
    x, y, z = points.T
    spots = np.sin(190*x + 3*np.sin(170*y)) * np.sin(160*y + 2*np.sin(210*z))
    if cloth: return .42 + .62*light**1.3 + .03*spots
    return .5 + .52*light**1.2 + .035*spots


@lru_cache(1)
def arm_model(path):
    "Return the hand, the sleeve's vertices, all faces, and how many vertices belong to the hand."
    hand, (cloth, cloth_faces) = read_hand(path), sleeve()
    return hand, cloth, np.concatenate([hand[1], cloth_faces + len(hand[0])]), len(hand[0])


def draw_arm(model, placed, size):
    "Return an arm on a canvas that is `OVER` times as large as `size`: coverage, brightness of skin, and of cloth, uint8."
    hand, cloth, faces, n = model
    normal = normals(placed, faces)
    # both parts are closed, so that their normals point away from their centres
    for part in (slice(0, n), slice(n, None)):
        if ((placed[part]-placed[part].mean(0))*normal[part]).sum() < 0: normal[part] *= -1
    light = np.concatenate([shade(normal[:n], hand[0], False), shade(normal[n:], cloth, True)])[faces].mean(1)*200
    skin = faces[:, 0] < n
    colours = np.stack([np.full(len(faces), 255), np.where(skin, light, 0), np.where(skin, 0, light)], 1).clip(0, 255)
    corners, canvas = placed[faces], np.zeros((size[1]*OVER, size[0]*OVER, 3), np.uint8)
    seen = (normal[faces].mean(1)[:, 2] > -.15) & (corners[..., 1].min(1) < size[1]) & (corners[..., 0].max(1) > 0)
    order = np.flatnonzero(seen)[np.argsort(corners[seen, :, 2].mean(1))]      # far triangles first
    corners = np.round((corners[..., :2]*OVER + (OVER-1)/2)*16).astype(np.int32)
    for i in order: cv2.fillConvexPoly(canvas, corners[i], colours[i], cv2.LINE_8, 4)
    return canvas


def blurred_arm(model, poses, left, i, size, middle):
    "Return frame `i` of one arm, float32, with motion blur: the mean of as many moments as leave no gaps."
    def placed(t): return place_arm(model[0], pose_at(poses, t), left, size[1], middle)
    opens, closes = ((i+s*SHUTTER/2)/FPS for s in (-1, 1))
    first, last = placed(opens), placed(closes)
    if min(first[:, 1].min(), last[:, 1].min()) > size[1]+20: return np.zeros((size[1], size[0], 3), np.float32)
    n = int(np.clip(np.abs(first-last)[:, :2].max()/1.5, 4, 30))
    total = np.zeros((size[1]*OVER, size[0]*OVER, 3), np.float32)
    for t in np.linspace(opens, closes, n): cv2.accumulate(draw_arm(model, placed(t), size), total)
    return cv2.resize(total/n, size, interpolation=cv2.INTER_AREA)


def render(paths, script, frames, size=(W, H), middle=None):
    """Return the arms of `script`, uint8 `(frames,h,w,3)`: alpha, brightness of the skin, brightness of the cloth, both times alpha.

    `middle` is the person's position in pixels. The arms are rendered once and cached."""
    middle = int(size[0]/2 if middle is None else middle)
    if size[1] > 720:       # finer arms than that would not fit the enlarged person
        some = render(paths, script, frames, (size[0]*720//size[1], 720), middle*720/size[1])
        return np.array([cv2.resize(a, size, interpolation=cv2.INTER_CUBIC) for a in some])
    home, name = paths['hand.glb'].parent, f'arms{RENDER_VERSION}-{script}-{size[0]}x{size[1]}-{middle}'
    store = longer_store(home, name, frames) or home/f'{name}-{frames}.npz'
    if not store.exists():
        model, out = arm_model(paths['hand.glb']), np.zeros((frames, size[1], size[0], 3), np.uint8)
        for i in range(frames):
            back, front = (blurred_arm(model, poses, left, i, size, middle) for poses, left in zip(SCRIPTS[script], (True, False)))
            out[i] = (front + (1-front[..., :1]/255)*back).round()
        np.savez_compressed(store, arms=out)
    with np.load(store) as f: return f['arms'][:frames]


# -- the composite

def colour_arms(arms, skin, cloth):
    "Return premultiplied BGR float32 and alpha of rendered `arms` in the colours of a person's skin and clothes."
    arms = arms.astype(np.float32)
    alpha, parts = arms[..., 0]/255, []
    for channel, colour, power in ((1, skin, (1.15, 1.05, .85)), (2, cloth, (1., 1., 1.))):
        bright = arms[..., channel]/200
        share = np.maximum(alpha, 1e-3)
        # light that went through skin comes out red, so shadows on it are redder
        parts.append(share[..., None]*np.float32(colour)*np.maximum(bright/share, 0)[..., None]**np.float32(power))
    return sum(parts).clip(0, 255*alpha[..., None]), alpha


def put_in_front(arms, alpha, person, body):
    "Return alpha and foreground, BGR uint8, of premultiplied `arms` in front of a `person` with alpha `body`."
    k = len(alpha)/480
    shadow = cv2.warpAffine(alpha, np.float32([[1, 0, 10*k], [0, 1, 14*k]]), alpha.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), 12*k)
    person = person*(1-.3*shadow[..., None])
    both = alpha + (1-alpha)*body
    mixed = (arms + ((1-alpha)*body)[..., None]*person)/np.maximum(both, 1e-3)[..., None]
    # beside the person, colours go on
    fg = np.where(both[..., None] > .02, mixed, person)
    return np.where(both < .01, 0, np.where(both > .99, 1, both)).astype(np.float32), fg.clip(0, 255).round().astype(np.uint8)


def camera_noise(img, rng, sigma=2.5):
    "Return `img` with a webcam's noise: stronger in dark parts, and in blobs, as after demosaicing."
    noise = cv2.GaussianBlur(rng.normal(0, 1, img.shape).astype(np.float32), (0, 0), .7)*2.4
    return (img + noise*sigma*(1.3-img.astype(np.float32)/255)).clip(0, 255).round().astype(np.uint8)


def compressed(frames, crf=26):
    "Return `frames` after H.264, as most webcams and calls deliver them."
    file = io.BytesIO()
    with av.open(file, 'w', 'mp4') as out:
        stream = out.add_stream('libx264', FPS, options={'crf': str(crf), 'preset': 'veryfast', 'threads': '1'})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], 'yuv420p'
        for f in frames: out.mux(stream.encode(av.VideoFrame.from_ndarray(f, 'bgr24')))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as f: return [x.to_ndarray(format='bgr24') for x in f.decode(video=0)]


def as_clip(name, alphas, fgs, bgs):
    "Return a clip as `quality_data.clips` does, after noise and compression."
    rng = np.random.default_rng(0)
    clean = [a[..., None]*f + (1-a[..., None])*b for a, f, b in zip(alphas, fgs, bgs)]
    frames = compressed([camera_noise(c, rng) for c in clean])
    # inside the person the ideal result has the frame's own noise
    fgs = [np.where(a[..., None] > .99, img, f) for a, f, img in zip(alphas, fgs, frames)]
    return {'name': name, 'frames': frames, 'alpha': alphas, 'fg': fgs, 'bg': bgs}


def skin_and_cloth(fg, alpha):
    "Return the median colour of a person's face, found by its hue, and of their clothes, at the lower edge."
    h, w = alpha.shape
    ycc, inside = cv2.cvtColor(fg, cv2.COLOR_BGR2YCrCb).astype(int), alpha > .99
    skin = inside & (ycc[..., 1] > 138) & (ycc[..., 1] < 175) & (ycc[..., 2] > 95) & (ycc[..., 2] < 128) & (ycc[..., 0] > 90)
    low = inside & (np.arange(h)[:, None] > .9*h) & ~skin
    face = np.percentile(fg[skin], 70, 0) if skin.sum() > 200 else (120, 150, 205)
    return face, np.percentile(fg[low], 65, 0) if low.sum() > 200 else (70, 60, 60)


# Two cameras move and two stand still, as webcams do
VIEWS = {name: quality_data.VIEWS[name] for name in ('china.jpg', 'rocket.jpg')} | {
    'brick.png': ((.5, .5, .86),)*2, 'wall': ((.48, .39, .72),)*2}


def read_background(paths, name):
    "Return a photograph, BGR uint8, or for 'wall' a light wall with a poster, the usual background of a webcam."
    if name != 'wall': return cv2.imdecode(np.fromfile(paths[name], np.uint8), cv2.IMREAD_COLOR)
    y, x = np.mgrid[:900, :1200].astype(np.float32)
    light = 1.05 - .3*np.hypot(x-250, y-150)/1200
    wall = light[..., None]*np.float32([196, 206, 212])
    poster = cv2.resize(read_background(paths, 'china.jpg'), (390, 260), interpolation=cv2.INTER_AREA)
    poster = cv2.copyMakeBorder(poster, 14, 14, 14, 14, cv2.BORDER_CONSTANT, value=(235, 238, 240))
    for top, left in ((130, 640), (120, 90)):
        shadow = np.zeros(wall.shape[:2], np.float32)
        shadow[top+10:top+298, left+8:left+426] = 1
        wall *= 1-.35*cv2.GaussianBlur(shadow, (0, 0), 9)[..., None]
        wall[top:top+288, left:left+418] = poster[:, ::-1 if left < 300 else 1]*light[top:top+288, left:left+418, None]
    # the ledge of a table, and paint that is not quite even
    wall[760:] = light[760:, :, None]*np.float32([70, 95, 130])
    return (wall + cv2.GaussianBlur(np.random.default_rng(0).normal(0, 9, wall.shape), (0, 0), 3)).clip(0, 255).astype(np.uint8)


# First frame of the person, photograph, scale of the person at 480 lines, mirrored, script
SEQUENCES = [(3840, 'china.jpg', 1.4, False, 'explain'), (4130, 'wall', 1.45, True, 'wave'),
             (495, 'brick.png', 1.4, True, 'count'), (2745, 'rocket.jpg', 1.4, False, 'point')]


def keyed_presenters(cache=CACHE, n=4, frames=40, size=(W, H)):
    "Yield the first `n` clips of the keyed person with rendered arms."
    paths = fetch(cache)
    for start, photo, scale, mirrored, script in SEQUENCES[:n]:
        photograph = read_background(paths, photo)
        bodies, people = keyed(paths, start, frames)
        place = scale*size[1]/H, mirrored, bodies.max((0, 2)).argmax(), size
        bodies = [place_person(b.astype(np.float32)/255, *place).clip(0, 1) for b in bodies]
        people = [place_person(p, *place) for p in people]
        middle = (bodies[0][:size[1]//2] @ np.arange(size[0])).sum()/bodies[0][:size[1]//2].sum()
        layers, colours = render(paths, script, frames, size, middle), skin_and_cloth(people[0], bodies[0])
        alphas, fgs = zip(*(put_in_front(*colour_arms(a, *colours), p, b) for a, p, b in zip(layers, people, bodies)))
        bgs = [pan_and_zoom(photograph, i, VIEWS[photo], size) for i in range(frames)]
        yield as_clip(f'{script}-{Path(photo).stem}', list(alphas), list(fgs), bgs)


# -- people from photographs

def read_person(path):
    """Return alpha, float32 `(h,w)`, and foreground, BGR uint8, of a photograph with a matte beside it; or None without one.

    The photograph is cut at the first row where the person touches a side, so that no seam shows."""
    img, matte = (cv2.imdecode(np.fromfile(p, np.uint8), cv2.IMREAD_UNCHANGED) if p.exists() else None
                  for p in (path, path.with_suffix('.png')))
    if img is None or matte is None: return None
    alpha = (matte if matte.ndim == 2 else matte[..., -1]).astype(np.float32)/255
    top = (alpha > .5).any(1).argmax()
    touches = (alpha[top:, [0, 1, -2, -1]] > .05).any(1)
    bottom = top + touches.argmax() if touches.any() else len(alpha)
    if bottom-top < .4*len(alpha): return None      # a face alone is not a presenter
    alpha, img = alpha[:bottom], img[:bottom, :, :3].astype(np.float32)
    # where the photograph's own background shines through, take the person's nearby colour
    inner = spread(img, (cv2.erode(alpha, np.ones((5, 5))) > .97).astype(np.float32))
    trust = np.clip((alpha-.8)/.2, 0, 1)[..., None]
    return alpha, (trust*img + (1-trust)*inner).clip(0, 255).round().astype(np.uint8), top


def sway(shape, t, seed):
    "Return the maps for `cv2.remap` that move a person at second `t`: the body leans from its lower edge, shoulders and head turn."
    h, w = shape
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    high = ((h-y)/h)**1.5
    phase, speed = rng.uniform(0, 6.28, 6), rng.uniform(.8, 1.2, 6)*[3.2, 7.5, 4.4, 9, 8, 2.1]
    s = np.sin(phase + speed*t)
    dx = high*h*(.05*s[0] + .022*s[1]*np.sin(2*y/h + phase[2]))
    dy = h*(.012*s[2] + .012*s[2]*high)
    # one shoulder goes up or out while the arm gestures
    for side, k in ((-1, 3), (1, 4)):
        near = np.exp(-((x-w*(.5+.27*side))/(.14*w))**2 - ((y-.8*h)/(.22*h))**2)
        dx, dy = dx + near*side*.03*w*s[k], dy + near*.035*h*s[k]*np.clip((h-y)/(.1*h), 0, 1)
    return (x-dx).astype(np.float32), (y+dy).astype(np.float32)


def swayed(alpha, fg, frames, seed):
    "Yield alpha and premultiplied foreground, float32, of a swaying person, with motion blur of both."
    both = np.dstack([fg*alpha[..., None], alpha*255]).astype(np.float32)
    for i in range(frames):
        ts = [(i + SHUTTER*(k/4-.5))/FPS for k in range(5)]
        new = np.mean([cv2.remap(both, *sway(alpha.shape, t, seed), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for t in ts], 0)
        yield new[..., 3]/255, new[..., :3]


def photograph_presenters(folder, cache=CACHE, n=6, frames=40, size=(W, H)):
    "Yield up to `n` clips of swaying people from photographs in `folder`, with rendered arms."
    paths, scripts, photos = fetch(cache), list(SCRIPTS), list(VIEWS)
    people = [(p, found) for p in sorted(Path(folder).glob('*.jpg')) if (found := read_person(p))]
    # those of whom we see most
    some = sorted(people, key=lambda person: person[1][2]-len(person[1][0]))[:n]
    for k, (path, (alpha, fg, top)) in enumerate(some):
        photo = photos[(k+k//len(photos)+1) % len(photos)]
        photograph = read_background(paths, photo)
        # the head begins at a seventh of the frame
        scale = .86*size[1]/(len(alpha)-top)
        m = np.array([[scale, 0, size[0]/2 - scale*alpha.shape[1]/2], [0, scale, size[1]-scale*len(alpha)]])
        def place(img): return cv2.warpAffine(img, m, size, flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        body = place(alpha).clip(0, 1)
        body[np.abs(np.arange(size[1])-size[1]) < 3] = body[-4]      # the last rows mix with what is below
        person = cv2.warpAffine(fg, m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colours, alphas, fgs = skin_and_cloth(person, body), [], []
        for (b, premultiplied), arms in zip(swayed(body, person, frames, k), render(paths, scripts[k % len(scripts)], frames, size)):
            known = (b > .02).astype(np.float32)
            colour = premultiplied/np.maximum(b, .02)[..., None]
            a, f = put_in_front(*colour_arms(arms, *colours), np.where(known[..., None] > 0, colour, spread(colour, known)), b)
            alphas.append(a)
            fgs.append(f)
        bgs = [pan_and_zoom(photograph, i, VIEWS[photo], size) for i in range(frames)]
        yield as_clip(f'{path.stem}-{scripts[k % len(scripts)]}-{Path(photo).stem}', alphas, fgs, bgs)


def main(args):
    "Build all clips and write their contact sheets."
    found = list(keyed_presenters(args.cache))
    if args.mattes: found += photograph_presenters(args.mattes, args.cache)
    for clip in found:
        for what, img in [('sheet', quality_data.sheet(clip, range(0, 40, 6))), ('edges', quality_data.edges(clip, 20))]:
            path = Path(args.cache)/'quality'/f'presenter-{clip["name"]}-{what}.jpg'
            path.write_bytes(cv2.imencode('.jpg', img, [cv2.IMWRITE_JPEG_QUALITY, 92])[1])
            print(path)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('cache', nargs='?', default=CACHE, type=Path, help='Where downloads and sheets go.')
    parser.add_argument('--mattes', metavar='FOLDER', help='Also make clips from the photographs in FOLDER.')
    try: main(parser.parse_args())
    except BgblurError as e: sys.exit(str(e))
