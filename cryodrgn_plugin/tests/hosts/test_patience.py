"""Waits of host tests grow with the load of the machine, without a wait: clock and load are made up."""

import subprocess
import sys

import pytest

from cryodrgn_plugin.tests.hosts.patience import MOST, Patience, load_per_core, run


class Machine:
    """A clock and a load that a test turns by hand."""

    def __init__(self, load: float = 0.0) -> None:
        self.now, self.load = 100.0, load

    def patience(self, seconds: float) -> Patience:
        return Patience(seconds, clock=lambda: self.now, load=lambda: self.load)


def seconds_until_over(machine: Machine, patience: Patience) -> int:
    began = machine.now
    while not patience.is_over():
        machine.now += 1
    return round(machine.now - began)


@pytest.mark.parametrize("load, expected", [(0.0, 10), (1.0, 10), (2.0, 20), (20.0, 200), (1e9, 10 * MOST)])
def test_a_limit_is_as_long_as_the_load_per_core_makes_it(load, expected):
    machine = Machine(load)
    assert seconds_until_over(machine, machine.patience(10)) == pytest.approx(expected, abs=1)


def test_load_that_comes_while_waiting_counts_from_then_on():
    machine = Machine()
    patience = machine.patience(10)
    machine.now += 5
    assert not patience.is_over()
    machine.load = 4.0
    assert seconds_until_over(machine, patience) == 20


def test_load_that_ends_while_waiting_counts_no_more():
    machine = Machine(load=4.0)
    patience = machine.patience(10)
    machine.now += 20
    assert not patience.is_over()
    machine.load = 0.5
    assert seconds_until_over(machine, patience) == 5


def test_this_machines_load_is_a_number_of_processes_per_core():
    assert load_per_core() > 0, "this process itself wants to run"


def test_a_program_that_does_not_end_is_killed_when_patience_is_over(monkeypatch):
    monkeypatch.setattr("cryodrgn_plugin.tests.hosts.patience.Patience.is_over", lambda self: True)
    with pytest.raises(subprocess.TimeoutExpired):
        run([sys.executable, "-c", "import time; time.sleep(60)"], 1)


def test_a_program_that_ends_gives_its_output_and_its_code():
    done = run([sys.executable, "-c", "import sys; print('out'); sys.exit('err')"], 60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "out\n", "err\n")
