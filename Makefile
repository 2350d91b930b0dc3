# Two commands matter: `make demo` and `make test`. Both start from nothing but python3, its venv, and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP    := $(BIN)/python -m pip --disable-pip-version-check
RESULT := output/testclip-blurred
MEDIAPIPE := .venv-mediapipe

.PHONY: demo test smoke soak fuzz lab app train readme bench bench-quality outdated clean libraries browser

demo: $(VENV)/base
	@mkdir -p output
	$(BIN)/bgblur video sample_data/testclip.mp4 -o $(RESULT).mp4 --stills 50 --overwrite
	@echo "Open $(RESULT).mp4; pictures of it lie in $(RESULT)-stills/"

test: $(VENV)/dev browser
	$(BIN)/python -m pytest tests -rs

# The commands that a new user runs first
smoke: $(VENV)/base
	$(BIN)/python tools/smoke.py

# What `make test` does in short, at full length: about half an hour
soak: $(VENV)/dev
	$(BIN)/python -m pytest tests --soak $(ARGS)

# Arrays that hypothesis makes up, and damaged files: make fuzz SECONDS=3600, or ARGS='--replay FILE' for what was found
SECONDS = 300
fuzz: $(VENV)/dev
	$(BIN)/python tools/fuzz.py --seconds $(SECONDS) $(ARGS)

# From the project's top, so that notebooks can show what lies in sample_data/. JupyterLab runs as root only if told to.
lab: $(VENV)/dev
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/nbs/index.ipynb $(ARGS)

# The explorer as a page, on this computer alone: make app PORT=8866
PORT ?= 8866
app: $(VENV)/notebooks
	$(BIN)/python tools/app.py $(PORT)

# Your own pictures, and a check on other people: ARGS='FOLDER -o output/mine --people FOLDER'
train: $(VENV)/learner
	$(BIN)/python tools/train.py $(ARGS)

# What `make bench` measured comes into the notebooks here, and from there into README.md
readme: $(VENV)/dev
	$(BIN)/python tools/rerun.py 07_speed index
	$(BIN)/python tools/pictures.py
	$(BIN)/python tools/readme.py

# For a part of it: ARGS='--only steps --rounds 1 --frames 50'. Also a long clip and live video: ARGS=--long
bench: $(VENV)/dev $(MEDIAPIPE)/ready
	$(BIN)/python tools/bench $(ARGS)

# MediaPipe wants another numpy and another OpenCV. Where it cannot be installed it is left out.
$(MEDIAPIPE)/ready: | libraries
	$(PYTHON) -m venv $(MEDIAPIPE)
	$(MEDIAPIPE)/bin/python -m pip --disable-pip-version-check install -q mediapipe==0.10.21 \
	&& touch $@ || echo "MediaPipe 0.10.21 cannot be installed with $$($(PYTHON) --version)."

# Measure your own clips and photographs as well: ARGS='--clips FOLDER --mattes FOLDER'
bench-quality: $(VENV)/dev
	$(BIN)/python tools/bench/quality.py $(ARGS)

# The newest of everything that the bounds in settings.ini allow, in an environment of its own: what does it break?
outdated: | libraries
	$(PYTHON) tools/outdated.py $(ARGS)

clean:
	rm -rf output build *.egg-info .pytest_cache

# The environment, in the sizes it is needed in. One call of pip for each: a second one would undo its pins.
$(VENV)/base: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e .
	@touch $@

$(VENV)/notebooks $(VENV)/learner: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[$(@F)]'
	@touch $@ $(VENV)/base

$(VENV)/dev: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[dev]'
	@touch $@ $(VENV)/base $(VENV)/notebooks $(VENV)/learner

# OpenCV's wheel wants two libraries of the system, the browser test a browser. On Debian, root gets them here.
APT = apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install

libraries:
	@/sbin/ldconfig -p 2>/dev/null | grep -q libGL.so.1 && /sbin/ldconfig -p | grep -q libgthread-2.0.so.0 \
	|| if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(APT) libgl1 libglib2.0-0 >/dev/null; \
	else echo "If OpenCV does not import, install libgl1 and libglib2.0-0."; fi

# The window is tested where Xvfb is, and skipped elsewhere.
browser:
	@command -v chromium >/dev/null && command -v Xvfb >/dev/null && command -v xdotool >/dev/null \
	|| if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(APT) chromium xvfb xdotool >/dev/null; \
	elif ! command -v chromium >/dev/null; then echo "The browser test needs chromium: install it."; exit 1; fi
