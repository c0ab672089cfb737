"""Which runtime runs the networks, and what is said where it cannot."""

import subprocess
import sys

import pytest

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.networks import runtime, with_litert
from MammoTrackerLib.networks.with_litert import LiteRTNetworks
from MammoTrackerLib.settings import Settings


@pytest.fixture
def machine(monkeypatch):
    """Return a function that says what the machine has."""
    monkeypatch.delenv(runtime.VARIABLE, raising=False)

    def has(*names: str) -> None:
        monkeypatch.setattr(runtime, "is_installed", lambda name: name in names)
        monkeypatch.setattr(runtime, "has_nvidia_gpu", lambda: "gpu" in names)

    return has


@pytest.mark.parametrize(
    ("asked", "has", "is_converted", "chosen"),
    [
        ("auto", ("litert",), True, "litert"),
        ("auto", ("litert", "gpu"), True, "litert"),
        ("auto", ("litert", "tensorflow"), True, "litert"),
        ("auto", ("litert", "tensorflow", "gpu"), True, "tensorflow"),
        ("auto", ("tensorflow",), True, "tensorflow"),
        ("auto", ("litert", "tensorflow"), False, "tensorflow"),
        ("litert", ("litert", "tensorflow", "gpu"), True, "litert"),
        ("tensorflow", ("litert", "tensorflow"), True, "tensorflow"),
    ],
)
def test_the_runtime_that_is_chosen(machine, monkeypatch, asked, has, is_converted, chosen):
    machine(*has)
    assert runtime.choose(asked, is_converted) == chosen
    monkeypatch.setenv(runtime.VARIABLE, asked.upper())
    assert runtime.choose("auto", is_converted) == chosen


@pytest.mark.parametrize(
    ("asked", "has", "is_converted", "message"),
    [
        ("auto", (), True, "ai-edge-litert is not installed"),
        ("auto", ("litert",), False, "tensorflow is not installed"),
        ("litert", ("tensorflow",), True, "ai-edge-litert is not installed"),
        ("tensorflow", ("litert",), True, "tensorflow is not installed"),
        ("litert", ("litert",), False, "there are no .tflite files"),
        ("onnx", ("litert",), True, "no runtime 'onnx'"),
    ],
)
def test_a_runtime_that_cannot_be_had(machine, asked, has, is_converted, message):
    machine(*has)
    with pytest.raises(MammoTrackerError, match=message):
        runtime.choose(asked, is_converted)


def test_an_argument_counts_more_than_the_variable(machine, monkeypatch):
    machine("litert", "tensorflow")
    monkeypatch.setenv(runtime.VARIABLE, "tensorflow")
    assert runtime.choose("litert", True) == "litert"
    monkeypatch.setenv(runtime.VARIABLE, "nonsense")
    with pytest.raises(MammoTrackerError, match="no runtime 'nonsense'"):
        LesionTracker()


def test_sizes_that_were_not_converted_need_tensorflow(machine):
    machine("litert")
    with pytest.raises(MammoTrackerError, match="tensorflow is not installed"):
        LesionTracker(Settings(search_px=320)).load()


def test_a_runtime_that_does_not_start_is_told_from_a_missing_one(machine, monkeypatch):
    machine("litert")

    def broken(*_arguments):
        raise ImportError("DLL load failed: secret")

    monkeypatch.setattr(runtime, "LiteRTNetworks", broken)
    with pytest.raises(MammoTrackerError, match=r"do not start \(ai-edge-litert\)") as caught:
        LesionTracker().load()
    assert "secret" not in str(caught.value)


def test_tensorflow_that_finds_no_gpu_leaves_the_work_to_litert(machine, monkeypatch):
    """There is a GPU, but TensorFlow was installed without its libraries."""
    machine("litert", "tensorflow", "gpu")

    class Keras:
        name, device = "TensorFlow", "CPU"

        def __init__(self, *_arguments):
            pass

    monkeypatch.setattr(runtime, "KerasNetworks", Keras)
    assert isinstance(LesionTracker().load(), LiteRTNetworks)
    assert isinstance(LesionTracker(runtime="tensorflow").load(), Keras)
    monkeypatch.setattr(Keras, "device", "GPU: Graphics Card 7")
    assert isinstance(LesionTracker().load(), Keras)


def test_tracking_imports_nothing_of_tensorflow():
    code = (
        "import sys\n"
        "from MammoTrackerLib import LesionTracker\n"
        "assert 'ai_edge_litert' not in sys.modules\n"
        "networks = LesionTracker(runtime='litert').load()\n"
        "print(networks.name, networks.version, networks.device)\n"
        "assert not {'tensorflow', 'keras', 'google'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, version, device = done.stdout.split()
    assert (name, device) == ("LiteRT", "CPU")
    assert version[0].isdigit()


def test_a_package_counts_as_installed_without_being_imported():
    assert runtime.is_installed("litert")
    assert not runtime.has_nvidia_gpu() or runtime.has_nvidia_gpu()  # asks, and does not crash


@pytest.mark.parametrize(
    ("asked", "threads"), [("1", 1), ("3", 3), ("0", 1), ("99", 4), ("", None), ("two", None)]
)
def test_litert_takes_as_many_threads_as_it_is_told(monkeypatch, asked, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usual = with_litert._cores()
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert with_litert._cores() == (threads or usual)
