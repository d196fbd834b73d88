# make demo   a real Scipion project from simulated particles to maps; figures and numbers in demo/, and its explorer
#             where there is a screen (DEMO_FLAGS=--no-window leaves it closed)
# make test   style, types, and every test that needs no data from outside
# Both install what they need into .venv (and .venv-numpy2) first; a complete environment is left as it is.

PYTHON ?= python3.11
DEMO_FOLDER ?= demo
DEMO_FLAGS ?=
PYTEST_FLAGS ?=
# Test files are spread over this many processes, each computing with one thread, in the order of conftest.py: one more
# than a small machine has cores, for tests wait for programs of the hosts.
WORKERS ?= 3
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

HOST_ENV := .venv
ENGINE_ENV := .venv-numpy2
HOST_EXTRAS := scipion,viewer,test
# CCP-EM's pipeliner asks for numpy 2, as Scipion asks for numpy 1: so it stands beside the engine, and so do the packages
# of other programs, which open in tests what is exported for them. Triton (286 MB to fetch, 1 GB on disk) is there for
# its interpreter and compiler, which need no GPU.
ENGINE_EXTRAS := test,ccpem,peers,triton
# All tests of the engine run beside the host; here those of what a version of numpy could change, files and numbers of
# several types, and the contract of backends, over the Triton member too.
ENGINE_TESTS := cryodrgn_plugin/tests/contracts/test_backends.py $(patsubst %,cryodrgn_plugin/tests/engine/test_%.py, \
    arrays closed_form cli cryosparc dataset formation found_poses golden image_formation image_store landscape \
    landscape_math loader mrc noise objective optics_groups other_formats particles peculiar_files pickles \
    real_formats recipes reconstruct run selection slicing_gradients slicing_kernels slicing_sphere so3_grid star \
    tilt_lists training triton_kernels whitened)
ENGINE_ENV_TESTS := cryodrgn_plugin/tests/ccpem cryodrgn_plugin/tests/peers
ONE_THREAD := OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# Qt and VTK load these even without a display; the second list is the screen, RELION and PDF tools of the host tests.
GRAPHICS_PACKAGES := libgl1 libegl1 libxrender1 libxcb-xinerama0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 \
    libxcb-render-util0 libxcb-xkb1 libxkbcommon-x11-0
TEST_PACKAGES := xvfb xdotool imagemagick x11-utils openbox poppler-utils relion relion-gui
# A Python without tkinter or ensurepip is Debian's own; these packages complete it.
PYTHON_PACKAGES := $(shell $(PYTHON) -c "import ensurepip, tkinter" 2>/dev/null || echo python3.11-venv python3-tk)

.DEFAULT_GOAL := help
.PHONY: help demo test check of-trainings of-searches env engine-env demo-system test-system picture

help:
	@sed -n '1,4s/^# //p' Makefile

demo: demo-system env
	$(HOST_ENV)/bin/python -m cryodrgn_plugin.demo --folder $(DEMO_FOLDER) $(DEMO_FLAGS)

# The last line printed is the test runner's own closing line.
test: test-system env engine-env
	@$(MAKE) --no-print-directory --jobs 2 of-trainings of-searches check
	$(ONE_THREAD) $(ENGINE_ENV)/bin/python -m pytest $(ENGINE_TESTS) -m "not slow and not shared" \
	    $(SPREAD) $(PYTEST_FLAGS)
	$(ONE_THREAD) $(ENGINE_ENV)/bin/python -m pytest $(ENGINE_ENV_TESTS) $(SPREAD) $(PYTEST_FLAGS)
	$(ONE_THREAD) $(HOST_ENV)/bin/python -m pytest $(ENGINE_ENV_TESTS:%=--ignore %) -m "not shared" \
	    $(SPREAD) $(PYTEST_FLAGS)

# Kernels are compiled once, in whichever environment, and kept for both.
of-trainings of-searches: engine-env
	$(ONE_THREAD) $(ENGINE_ENV)/bin/python -m cryodrgn_plugin.tests.compile_kernels $@ > /dev/null

check: env
	$(HOST_ENV)/bin/ruff check --no-cache .
	$(HOST_ENV)/bin/mypy --cache-dir=/dev/null

# The README's picture, from a finished demo.
picture:
	$(HOST_ENV)/bin/python tools/readme_picture.py $(DEMO_FOLDER) docs/images/demo.png

env: $(HOST_ENV)/.complete
engine-env: $(ENGINE_ENV)/.complete

$(HOST_ENV)/.complete: pyproject.toml constraints.txt | demo-system
	@tools/install-environment $(PYTHON) $(HOST_ENV) constraints.txt $(HOST_EXTRAS)
	@touch $@

$(ENGINE_ENV)/.complete: pyproject.toml constraints-numpy2.txt | demo-system
	@tools/install-environment $(PYTHON) $(ENGINE_ENV) constraints-numpy2.txt $(ENGINE_EXTRAS)
	@touch $@

demo-system:
	@tools/system-packages --optional $(PYTHON_PACKAGES) $(GRAPHICS_PACKAGES)

test-system: demo-system
	@tools/system-packages $(TEST_PACKAGES)
