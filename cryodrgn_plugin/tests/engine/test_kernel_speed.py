"""No kernel of the numba member has become slow: each takes about the share of its torch twin's time that it took when
`kernel_ratios` was last run. A change that makes one faster runs that again and commits what it writes.
"""

import pytest

from . import kernel_ratios

pytestmark = pytest.mark.slow  # once, in one of the environments

SLOWER = 1.6
"""What a ratio may have grown by. From run to run on one machine, idle and loaded, it moves by up to 1.4."""
TRIES = 6
"""A loaded machine is asked again before a kernel is blamed."""


@pytest.fixture(scope="module")
def members():
    return kernel_ratios.both_members()


def grown(name: str, fast, slow) -> float:
    """By what factor the ratio has grown; the least of some tries, which end once it is allowed."""
    kept, least = kernel_ratios.kept_ratios()[name], float("inf")
    for _ in range(TRIES):
        least = min(least, kernel_ratios.ratio(fast, slow) / kept)
        if least <= SLOWER:
            break
    return least


@pytest.mark.parametrize("name", kernel_ratios.kept_ratios())
def test_no_kernel_is_twice_as_slow_beside_its_twin(members, name):
    factor = grown(name, *(operations[name] for operations in members))
    assert factor <= SLOWER, f"{name} takes {factor:.2f} times the share of its twin's time that it took"


def test_every_operation_is_guarded_and_one_that_takes_three_times_as_long_is_caught(members):
    fast, slow = members
    assert set(fast) == set(slow) == set(kernel_ratios.kept_ratios())

    def thrice() -> None:
        for _ in range(3):
            fast["mix"]()

    assert grown("mix", thrice, slow["mix"]) > SLOWER
