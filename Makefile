# `make demo` tracks a lesion on a real mammogram; `make test` runs everything that is tested;
# `make screenshots` draws the pictures of the module.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What a window needs that comes with no Python package: a screen, and Qt's and OpenGL's libraries.
SCREEN := xvfb libegl1 libgl1 libgl1-mesa-dri libglib2.0-0 libdbus-1-3 libfontconfig1 \
	libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
	libxcb-render-util0 libxcb-shape0 libxcb-xkb1
QT_SCREEN = $(VENV)/lib/python3*/site-packages/PySide6/Qt/plugins/platforms/libqxcb.so

.PHONY: demo test screenshots screen clean

demo: $(VENV)/installed
	$(BIN)/python Testing/demo.py

test: $(VENV)/installed screen
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slicer"
	$(BIN)/python -m pytest -m slicer

screenshots: $(VENV)/installed screen
	$(BIN)/python Testing/screenshots.py

screen: $(VENV)/installed
	@if command -v Xvfb >/dev/null && ! ldd $(QT_SCREEN) 2>/dev/null | grep -q "not found"; then \
		true; \
	elif command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $(SCREEN) >/dev/null || \
		echo "The tests of the window go on without a screen: $(SCREEN) could not be installed."; \
	else \
		echo "The tests of the window go on without a screen. To give them one, install:"; \
		echo "$(SCREEN)"; \
	fi

clean:
	rm -rf $(VENV) demo

# Installed again when the dependencies change; the code itself is used from this folder.
$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[train,test]"
	touch $@
