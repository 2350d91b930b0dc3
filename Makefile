# The two main commands are `make demo` and `make test`. They need only make and python3 with venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP    := $(BIN)/python -m pip --disable-pip-version-check
RESULT := output/testclip-blurred
MEDIAPIPE := .venv-mediapipe

.PHONY: help demo test check docs smoke soak fuzz lab app train readme bench bench-quality outdated image clean libraries browser

demo: $(VENV)/base
	@mkdir -p output
	$(BIN)/bgblur video sample_data/testclip.mp4 -o $(RESULT).mp4 --stills 50 --overwrite
	@echo "Open $(RESULT).mp4. Stills of it are in $(RESULT)-stills/."

test: $(VENV)/dev browser
	$(BIN)/python -m pytest tests -rs

# Check in a minute what needs no run of the notebooks: package and notebooks agree, structure, ruff, types
check: $(VENV)/dev
	$(BIN)/python -m pytest -q tests/test_structure.py tests/test_types.py tests/test_notebooks.py -k "not alone and not in_order"

# Build the source distribution and the wheel in dist/, and check them
dist: $(VENV)/dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

# Build the documentation site in _site/ from the notebooks and the pages in docs/
docs: $(VENV)/docs
	$(BIN)/python tools/docs/build.py

# Run the commands that a new user runs first
smoke: $(VENV)/base
	$(BIN)/python tools/check/smoke.py

# Run at full length the tests that `make test` shortens: about half an hour
soak: $(VENV)/dev
	$(BIN)/python -m pytest tests --soak $(ARGS)

# Try generated arrays and damaged files: make fuzz SECONDS=3600. Try a failure again: ARGS='--replay FILE'
SECONDS = 300
fuzz: $(VENV)/dev
	$(BIN)/python tools/check/fuzz.py --seconds $(SECONDS) $(ARGS)

# Start in the top folder, so that notebooks can show files from sample_data/. JupyterLab needs --allow-root for root.
lab: $(VENV)/dev
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/nbs/index.ipynb $(ARGS)

# Open the web page for images and videos, on this computer only: make app ARGS='--port 9000'
app: $(VENV)/notebooks
	$(BIN)/bgblur app $(ARGS)

# Train on your own images, and measure on other people: ARGS='FOLDER -o output/mine --people FOLDER'
train: $(VENV)/learner
	$(BIN)/python tools/data/train.py $(ARGS)

# Put the numbers of `make bench` into the notebooks, the images and README.md
readme: $(VENV)/dev
	$(BIN)/python tools/docs/rerun.py 07_speed index
	$(BIN)/python tools/docs/pictures.py
	$(BIN)/python tools/docs/readme.py

# Measure only a part: ARGS='--only steps --rounds 1 --frames 50'. Add a long clip and live video: ARGS=--long
bench: $(VENV)/dev $(MEDIAPIPE)/ready
	$(BIN)/python tools/bench $(ARGS)

# MediaPipe needs another numpy and another OpenCV. If it cannot be installed, the benchmark leaves it out.
$(MEDIAPIPE)/ready: | libraries
	$(PYTHON) -m venv $(MEDIAPIPE)
	$(MEDIAPIPE)/bin/python -m pip --disable-pip-version-check install -q mediapipe==0.10.21 \
	&& touch $@ || echo "MediaPipe 0.10.21 cannot be installed with $$($(PYTHON) --version)."

# Measure your own clips and photographs as well: ARGS='--clips FOLDER --mattes FOLDER'
bench-quality: $(VENV)/dev
	$(BIN)/python tools/bench/quality.py $(ARGS)

# Try the newest versions that the bounds in settings.ini allow, in a separate environment
outdated: | libraries
	$(PYTHON) tools/check/outdated.py $(ARGS)

# A container that works for `bgblur batch --scheduler`
image:
	@command -v docker >/dev/null || { echo "Install docker first."; exit 1; }
	docker build -t bgblur-worker .

clean:
	rm -rf output build dist _site *.egg-info .pytest_cache .mypy_cache .ruff_cache

# The environment in five sizes. Each needs a single call of pip, because a second call would undo its pins.
$(VENV)/base: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e .
	@touch $@

$(VENV)/notebooks $(VENV)/learner $(VENV)/docs: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[$(@F)]'
	@touch $@ $(VENV)/base

$(VENV)/dev: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[dev]'
	@touch $@ $(VENV)/base $(VENV)/notebooks $(VENV)/learner $(VENV)/docs

# OpenCV needs two system libraries, and the browser tests need a browser. On Debian, root installs them here.
APT = apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install

libraries:
	@/sbin/ldconfig -p 2>/dev/null | grep -q libGL.so.1 && /sbin/ldconfig -p | grep -q libgthread-2.0.so.0 \
	|| if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(APT) libgl1 libglib2.0-0 >/dev/null; \
	else echo "If OpenCV does not import, install libgl1 and libglib2.0-0."; fi

# Without Xvfb, the tests of the window are skipped.
browser:
	@command -v chromium >/dev/null && command -v Xvfb >/dev/null && command -v xdotool >/dev/null \
	|| if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(APT) chromium xvfb xdotool >/dev/null; \
	elif ! command -v chromium >/dev/null; then echo "Install chromium, which the browser tests need."; exit 1; fi
