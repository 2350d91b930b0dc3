# `make` lists the targets. They need only make and python3 with venv, and install what they use into .venv.
# A target for you has a comment after `##`, and `##@` starts a group.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP    := $(BIN)/python -m pip --disable-pip-version-check
RESULT := output/testclip-blurred
MEDIAPIPE := .venv-mediapipe

.PHONY: help demo app lab train check test docs readme smoke soak fuzz bench bench-quality clean dist outdated image
.PHONY: libraries browser

help:  ## List the targets
	@awk -F ' *:.*## ' '/^##@ / {print "\n" substr($$0, 5) ":"} /^[a-z-]+:.*## / {printf "  make %-15s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "ARGS='...' adds options to a target. CONTRIBUTING.md explains them."

##@ Try it

demo: $(VENV)/base  ## Blur the sample clip to output/testclip-blurred.mp4
	@mkdir -p output
	$(BIN)/bgblur video sample_data/testclip.mp4 -o $(RESULT).mp4 --stills 50 --overwrite
	@echo "Open $(RESULT).mp4. Stills of it are in $(RESULT)-stills/."

app: $(VENV)/notebooks  ## Open the web page for images and videos
	$(BIN)/bgblur app $(ARGS)

# It starts in the top folder, so that notebooks can show files from sample_data/. JupyterLab needs --allow-root for root.
lab: $(VENV)/dev  ## Open the notebooks in JupyterLab (7 GB with PyTorch)
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/nbs/index.ipynb $(ARGS)

train: $(VENV)/learner  ## Train the model on your own images: ARGS='FOLDER -o NAME'
	$(BIN)/python tools/data/train.py $(ARGS)

##@ Change it

# All of it works without PyTorch. What runs notebooks is left to `make test`.
check: $(VENV)/check  ## Look for mistakes in a minute, without running notebooks
	$(BIN)/python -m pytest -q tests/test_structure.py tests/test_types.py tests/test_contributing.py tests/test_notebooks.py -k "not alone and not in_order"

test: $(VENV)/dev browser  ## Run all notebooks and all tests (7 GB with PyTorch)
	$(BIN)/python -m pytest tests -rs

docs: $(VENV)/docs  ## Build the documentation site in _site/
	$(BIN)/python tools/docs/build.py

readme: $(VENV)/dev  ## Bring the results of `make bench` into README.md
	$(BIN)/python tools/docs/rerun.py 07_speed index
	$(BIN)/python tools/docs/pictures.py
	$(BIN)/python tools/docs/readme.py

smoke: $(VENV)/base  ## Run the commands that a new user runs first
	$(BIN)/python tools/check/smoke.py

soak: $(VENV)/dev  ## Run the tests that `make test` shortens (half an hour)
	$(BIN)/python -m pytest tests --soak $(ARGS)

SECONDS = 300
fuzz: $(VENV)/dev  ## Try generated arrays and damaged files: SECONDS=3600
	$(BIN)/python tools/check/fuzz.py --seconds $(SECONDS) $(ARGS)

bench: $(VENV)/dev $(MEDIAPIPE)/ready  ## Measure the speed (15 minutes on an idle computer)
	$(BIN)/python tools/bench $(ARGS)

# MediaPipe needs another numpy and another OpenCV. If it cannot be installed, the benchmark leaves it out.
$(MEDIAPIPE)/ready: | libraries
	$(PYTHON) -m venv $(MEDIAPIPE)
	$(MEDIAPIPE)/bin/python -m pip --disable-pip-version-check install -q mediapipe==0.10.21 \
	&& touch $@ || echo "MediaPipe 0.10.21 cannot be installed with $$($(PYTHON) --version)."

bench-quality: $(VENV)/dev  ## Measure the quality (10 minutes, 130 MB of footage)
	$(BIN)/python tools/bench/quality.py $(ARGS)

clean:  ## Delete results and caches
	rm -rf output build dist _site *.egg-info .pytest_cache .mypy_cache .ruff_cache

##@ Publish it

dist: $(VENV)/check  ## Build the source distribution and the wheel in dist/
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

outdated: | libraries  ## Try the newest versions that settings.ini allows
	$(PYTHON) tools/check/outdated.py $(ARGS)

image:  ## Build a container for `bgblur batch --scheduler`
	@command -v docker >/dev/null || { echo "Install docker first."; exit 1; }
	docker build -t bgblur-worker .

# The environment in six sizes. Each needs a single call of pip, because a second call would undo its pins.
$(VENV)/base: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e .
	@touch $@

$(VENV)/notebooks $(VENV)/learner $(VENV)/docs: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[$(@F)]'
	@touch $@ $(VENV)/base

$(VENV)/check: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[check]'
	@touch $@ $(VENV)/base $(VENV)/notebooks

$(VENV)/dev: settings.ini setup.py | libraries
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[dev]'
	@touch $@ $(VENV)/base $(VENV)/notebooks $(VENV)/learner $(VENV)/docs $(VENV)/check

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
