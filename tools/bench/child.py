"""Take measurements that need their own process: python tools/bench/child.py NAME ARGUMENT ...

Each function imports what it needs, because the time and the memory of imports count. It prints its result on one line.
"""
import json
import os
import sys
import time


def first_frame(*args):
    "Run `bgblur ARGS` and print the seconds from $START, a Unix time, to the first frame given to the encoder."
    from bgblur.cli import main
    from bgblur.io.writer import VideoWriter
    write = VideoWriter.write

    def first(*frame):
        write(*frame)
        print(time.time() - float(os.environ['START']), flush=True)
        VideoWriter.write = write
    VideoWriter.write, sys.argv = first, ['bgblur', *args]
    main()


def memory(at, way, src, dst):
    """Blur `src` and print a run whose stages are the peak memory in MB after certain frames.

    `at` lists their numbers in JSON. `measure` passes the name of the way, which is not used."""
    from bgblur.pipeline import Blurrer
    from bgblur.speed import peak_memory, report_run, run_blurrer
    at, held = json.loads(at), {}

    class MemoryBlurrer(Blurrer):
        "A `Blurrer` that notes the peak memory."
        def stream(self, frames, transparent=False):
            for i, img in enumerate(super().stream(frames, transparent), 1):
                if i in at: held[i] = peak_memory()
                yield img
    report_run(lambda src, dst: (*run_blurrer(src, dst, MemoryBlurrer()), held), src, dst)


def live(clip, seconds):
    "Play `clip` as a 30 FPS webcam into the live loop for `seconds` seconds and print its report."
    from bgblur.camera.sources import FileSource
    from bgblur.live import Live
    report = Live(FileSource(clip, rate=30), seconds=float(seconds)).run()
    print(json.dumps({**vars(report), 'fps': report.fps, 'name': 'clip'}))


if __name__ == '__main__': {'first-frame': first_frame, 'memory': memory, 'live': live}[sys.argv[1]](*sys.argv[2:])
