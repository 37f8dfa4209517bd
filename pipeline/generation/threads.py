"""How many threads llama.cpp should use just now.

Its threads wait for each other in a busy loop. On idle cores all of them pay off; when another program wants a core,
the whole batch waits for one preempted thread, and fewer threads are faster (measured on two busy cores: 2.2
sentences/s with two threads, 3.9 with one). So the rate is watched and the other number tried now and then.
"""

_FIRST_PROBE_CALLS = 4
_RAREST_PROBE_CALLS = 384
_GAIN_TO_SWITCH = 1.1
_MEMORY = 0.7


class ThreadChoice:
    """Chooses between all threads and half of them from the rates seen so far."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._other = max(1, threads // 2)
        self._rate: dict[int, float] = {}
        self._calls = 0
        self._probe_after = _FIRST_PROBE_CALLS

    def next(self) -> int:
        """Return the number of threads for the next call; now and then it is the one not in use, as a probe."""
        self._calls += 1
        return self._other if self._calls > self._probe_after else self.threads

    def record(self, threads: int, tokens: int, seconds: float) -> None:
        """Note what a call with this many threads took, and switch when the probe was clearly faster."""
        rate = tokens / max(seconds, 1e-9)
        if threads == self.threads:
            self._rate[threads] = _MEMORY * self._rate.get(threads, rate) + (1 - _MEMORY) * rate
            return
        self._calls = 0
        if rate > _GAIN_TO_SWITCH * self._rate.get(self.threads, 0.0):
            self.threads, self._other = threads, self.threads
            self._rate[threads] = rate
            self._probe_after = _FIRST_PROBE_CALLS
        else:
            self._probe_after = min(2 * self._probe_after, _RAREST_PROBE_CALLS)
