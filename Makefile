# `make demo` tracks a lesion on a real mammogram; `make test` runs everything that is tested;
# `make screenshots` draws the pictures of the module; `make slicer-test SLICER=/path/to/Slicer` runs the
# tests of panel, views and scene in the real application.

PYTHON ?= python3
SLICER ?= Slicer
VENV := .venv
BIN := $(VENV)/bin
# TensorFlow has an environment of its own: nothing but training and a GPU needs it, and it crashes
# beside the OpenGL of a computer without graphics.
TRAIN := .venv-train
INSTALL = -m pip install --quiet --disable-pip-version-check --editable

# What a window needs that comes with no Python package: a screen, and Qt's and OpenGL's libraries.
SCREEN := xvfb libegl1 libgl1 libgl1-mesa-dri libglib2.0-0 libdbus-1-3 libfontconfig1 \
	libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
	libxcb-render-util0 libxcb-shape0 libxcb-xkb1
# Programs of others that check the DICOM that is written, and show the report.
CHECKS := dicom3tools dcmtk chromium chromium-driver
QT_SCREEN = $(VENV)/lib/python3*/site-packages/PySide6/Qt/plugins/platforms/libqxcb.so

# $(call packages,TEST,PACKAGES,WITHOUT): installs Debian packages where TEST fails, or says what goes
# on WITHOUT them.
define packages
	@if { $(1); } >/dev/null; then \
		true; \
	elif command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $(2) >/dev/null || \
		echo "$(3): $(2) could not be installed."; \
	else \
		echo "$(3). To change that, install: $(2)"; \
	fi
endef

.PHONY: demo test test-tracking test-command test-training slicer-test screenshots screen checks clean

demo: $(VENV)/demo
	$(BIN)/python Testing/demo.py

# Side by side, each printed when it ends.
test:
	$(MAKE) --jobs=3 --output-sync=target test-tracking test-command test-training

test-tracking: $(VENV)/test screen checks
	$(BIN)/ruff check .
	$(BIN)/python -c "from importlib.util import find_spec; assert not find_spec('tensorflow')"
	$(BIN)/python -m pytest -m "not train" --ignore=Testing/command

test-command: $(VENV)/test checks
	$(BIN)/python -m pytest -m "not train" Testing/command

test-training: $(TRAIN)/test
	$(TRAIN)/bin/python -m pytest -m train

slicer-test:
	$(SLICER) --no-splash --additional-module-paths $(CURDIR)/MammoTracker $(CURDIR) \
		--python-script $(CURDIR)/Testing/real_slicer/run_tests.py

screenshots: $(VENV)/test screen
	$(BIN)/python Testing/screenshots.py

screen: $(VENV)/test
	$(call packages,command -v Xvfb && ! ldd $(QT_SCREEN) 2>/dev/null | grep -q "not \
		found",$(SCREEN),The tests of the window go on without a screen)

# After the other, as two cannot install at once.
checks: screen
	$(call packages,command -v dciodvfy && command -v dsrdump && command -v chromedriver,$(CHECKS),The \
		written DICOM and the report go unchecked by other programs)

clean:
	rm -rf $(VENV) $(TRAIN) demo

# Installed again when the dependencies change; the code itself is used from this folder.
$(VENV)/demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) ".[demo]"
	touch $@

$(VENV)/test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) ".[test]"
	touch $@

$(TRAIN)/test: pyproject.toml
	test -x $(TRAIN)/bin/python || $(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python $(INSTALL) ".[train]" "pytest>=8,<10"
	touch $@
