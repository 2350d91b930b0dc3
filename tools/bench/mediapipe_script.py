"""Blur a clip as MediaPipe's documentation shows it: python tools/bench/mediapipe_script.py mediapipe SRC DST

Needs `pip install mediapipe==0.10.21` and nothing of bgblur. Prints frames, seconds and peak memory as JSON.
"""
import json
import re
import sys
import time

import cv2
import mediapipe as mp
import numpy as np


def blur_clip(src, dst):
    """Blur frame by frame: run the model, threshold its mask, and choose the frame or the blurred frame per pixel.

    Return the number of frames, and the seconds from loading the model to closing the result."""
    start, n = time.perf_counter(), 0
    with mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=1) as segment:
        reader = cv2.VideoCapture(src)
        size = int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
        writer = cv2.VideoWriter(dst, cv2.VideoWriter_fourcc(*'mp4v'), reader.get(cv2.CAP_PROP_FPS), size)
        while True:
            ok, image = reader.read()
            if not ok: break
            results = segment.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            condition = np.stack((results.segmentation_mask,)*3, axis=-1) > 0.1
            writer.write(np.where(condition, image, cv2.GaussianBlur(image, (55, 55), 0)))
            n += 1
        writer.release()
    return n, time.perf_counter() - start


if __name__ == '__main__':
    n, seconds = blur_clip(*sys.argv[2:])
    memory = 1024*int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1])/1e6
    print(json.dumps(dict(frames=n, seconds=seconds, memory=memory)))
