"""The choice of threads on a simulated machine: the rate of each number of threads is known."""

from pipeline.generation.engines.engine import ThreadChoice


def play(choice: ThreadChoice, rates: dict[int, float], calls: int) -> list[int]:
    used = []
    for _ in range(calls):
        threads = choice.next()
        choice.record(threads, 100, 100 / rates[threads])
        used.append(threads)
    return used


def test_idle_cores_are_all_used_and_probes_become_rare():
    choice = ThreadChoice(4)
    used = play(choice, {4: 400.0, 2: 220.0}, 600)
    assert choice.threads == 4
    assert 3 <= used.count(2) <= 10


def test_busy_cores_are_left_alone_and_taken_back_when_free():
    choice = ThreadChoice(2)
    play(choice, {2: 30.0, 1: 200.0}, 40)
    assert choice.threads == 1
    play(choice, {2: 400.0, 1: 220.0}, 40)
    assert choice.threads == 2


def test_a_single_core_has_no_choice():
    assert set(play(ThreadChoice(1), {1: 100.0}, 100)) == {1}
