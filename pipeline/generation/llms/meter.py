"""What a run's calls cost: every call is reserved at its upper bound before it is made, then settled at what it took.

A call whose worst case does not fit what is left of the budget is not made, so the budget is never exceeded. What a
server does not report (an answer cut off, no usage in it) is counted at the upper bound.
"""

from dataclasses import dataclass
from threading import Condition

from pipeline.records import InputError

_OVERHEAD_TOKENS = 64
"""Tokens that a server's chat template may add to a prompt."""


class BudgetError(InputError):
    """Seen by the person whose budget is used up; the run has stopped before exceeding it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls made, tokens charged for, and their money."""

    calls: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    money: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompts and replies together."""
        return self.prompt_tokens + self.reply_tokens

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.reply_tokens + other.reply_tokens,
            self.money + other.money,
        )


class Meter:
    """Counts one run; used by many threads."""

    def __init__(
        self,
        *,
        price_in: float = 0.0,
        price_out: float = 0.0,
        token_budget: int = 0,
        money_budget: float = 0.0,
        spent: Usage | None = None,
    ) -> None:
        """Prices per million tokens; budgets of 0 set no limit; spent: by earlier parts of the same run."""
        self._price_in, self._price_out = price_in, price_out
        self._token_budget, self._money_budget = token_budget, money_budget
        self._spent = spent or Usage()
        self._reserved = Usage()
        self._changed = Condition()

    @property
    def spent(self) -> Usage:
        """What has been settled so far."""
        with self._changed:
            return self._spent

    def reserve(self, prompt: str, reply_tokens: int, *, waits: bool = True) -> Usage:
        """Set aside the most that a call can cost, waiting for calls under way where that may help.

        A token is at least one byte of UTF-8. Raises BudgetError when it does not fit what is left.
        """
        most = self._usage(len(prompt.encode("utf-8", "replace")) + _OVERHEAD_TOKENS, reply_tokens)
        with self._changed:
            while not self._fits(most):
                if self._reserved.calls == 0 or not waits:
                    raise BudgetError(self._message())
                self._changed.wait()
            self._reserved = self._reserved.plus(most)
        return most

    def settle(self, reserved: Usage, prompt_tokens: int | None, reply_tokens: int | None) -> None:
        """Count what a call took; what the server did not report is counted as reserved."""
        took = self._usage(
            reserved.prompt_tokens if prompt_tokens is None else prompt_tokens,
            reserved.reply_tokens if reply_tokens is None else reply_tokens,
        )
        self._end(reserved, took)

    def release(self, reserved: Usage) -> None:
        """Give back what a call that was refused did not cost."""
        self._end(reserved, Usage())

    def _end(self, reserved: Usage, took: Usage) -> None:
        with self._changed:
            minus = Usage(-reserved.calls, -reserved.prompt_tokens, -reserved.reply_tokens, -reserved.money)
            self._reserved = self._reserved.plus(minus)
            self._spent = self._spent.plus(took)
            self._changed.notify_all()

    def _usage(self, prompt_tokens: int, reply_tokens: int) -> Usage:
        money = (prompt_tokens * self._price_in + reply_tokens * self._price_out) / 1e6
        return Usage(1, prompt_tokens, reply_tokens, money)

    def _fits(self, most: Usage) -> bool:
        after = self._spent.plus(self._reserved).plus(most)
        tokens_fit = self._token_budget == 0 or after.tokens <= self._token_budget
        return tokens_fit and (self._money_budget == 0 or after.money <= self._money_budget)

    def _message(self) -> str:
        limits = [f"{self._token_budget:,} tokens"] if self._token_budget else []
        limits += [f"{self._money_budget:g} money"] if self._money_budget else []
        return (
            f"The budget of {' and '.join(limits)} leaves no room for another call ({self._spent.tokens:,} tokens "
            f"and {self._spent.money:.4f} spent): start the run again with a larger one; finished rows are not paid "
            "for twice."
        )
