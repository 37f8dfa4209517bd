"""Any sequence of decisions, bulk decisions, undo, redo, kills and rebuilds gives what a plain model gives."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_samples import add_import, dump

from tests.conftest import DRILL
from workbench.store import Store
from workbench.store.decisions import Decision
from workbench.store.filters import TripletFilter
from workbench.workspace import rebuild

NAMES = [f"t{number}" for number in range(5)]
PEOPLE = st.sampled_from(["ann", "bob"])


class Batch:
    def __init__(self, who, states):
        self.who, self.states, self.stands = who, states, True


class Model:
    """Batches in order; a triplet is in the state its last batch in force left it in."""

    def __init__(self):
        self.batches = []
        self.undone = {"ann": [], "bob": []}

    def state(self, name):
        found = [batch.states[name] for batch in self.batches if batch.stands and name in batch.states]
        return found[-1] if found else ("reset", None)

    def texts(self, name):
        return self.state(name)[1] or (f"p {name}", f"n {name}")

    def after(self, name, action, positive=None):
        action_before, changed = self.state(name)
        del action_before
        if action == "swap":
            changed = self.texts(name)[::-1]
        elif action == "edit":
            changed = (positive, self.texts(name)[1])
        elif action == "reset":
            changed = None
        return (action, changed)

    def decide(self, who, names, action, positive=None):
        self.batches.append(Batch(who, {name: self.after(name, action, positive) for name in names}))
        self.undone[who].clear()

    def undo(self, who):
        mine = [batch for batch in self.batches if batch.stands and batch.who == who]
        if mine:
            mine[-1].stands = False
            self.undone[who].append(mine[-1])
        return bool(mine)

    def redo(self, who):
        if not self.undone[who]:
            return False
        self.undone[who].pop().stands = True
        return True


class DecisionSequences(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = Store(self.root / "state.duckdb")
        import pandas as pd

        frame = pd.DataFrame(
            [{"premise_id": n, "premise": n, "positive": f"p {n}", "hard_negative": f"n {n}"} for n in NAMES]
        )
        attempt = add_import(self.store, "five", "five.jsonl", frame)
        self.ids = {name: f"{attempt}-{number}" for number, name in enumerate(NAMES)}
        self.model = Model()

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.root)

    @rule(who=PEOPLE, name=st.sampled_from(NAMES), action=st.sampled_from(["accept", "reject", "swap", "reset"]))
    def decide(self, who, name, action):
        self.store.decisions.append([Decision(self.ids[name], action, annotator=who)])
        self.model.decide(who, [name], action)

    @rule(who=PEOPLE, name=st.sampled_from(NAMES), text=st.sampled_from(["better", "übersetzt\n\"'", "=1+1"]))
    def edit(self, who, name, text):
        self.store.decisions.append([Decision(self.ids[name], "edit", positive=text, annotator=who)])
        self.model.decide(who, [name], "edit", text.strip())

    @rule(
        who=PEOPLE,
        chosen=st.sampled_from(["", "undecided", "decided", "reject"]),
        action=st.sampled_from(["accept", "reject", "swap", "reset"]),
    )
    def bulk(self, who, chosen, action):
        states = {name: self.model.state(name)[0] for name in NAMES}
        wanted = {
            "": lambda state: True,
            "undecided": lambda state: state == "reset",
            "decided": lambda state: state != "reset",
            "reject": lambda state: state == "reject",
        }[chosen]
        names = [name for name, state in states.items() if wanted(state)]
        found = TripletFilter(decision=chosen)
        assert self.store.triplets.count(found) == len(names)
        if names:
            self.store.decisions.decide_all(found, action, annotator=who, expected=len(names))
            self.model.decide(who, names, action)

    @rule(who=PEOPLE)
    def undo(self, who):
        assert (self.store.decisions.undo(who) is not None) == self.model.undo(who)

    @rule(who=PEOPLE)
    def redo(self, who):
        assert (self.store.decisions.redo(who) is not None) == self.model.redo(who)

    @rule(who=PEOPLE, name=st.sampled_from(NAMES), torn=st.booleans())
    def crash(self, who, name, torn):
        """Killed after the log was written and before the database was: the log wins; a torn line never was."""
        if torn:
            with (self.root / "decisions.jsonl").open("ab") as log:
                log.write(b'{"table": "decisions", "batch_id": "torn", "first_seq')
        else:
            self.store.decisions._catch_up = lambda: 0
            self.store.decisions.append([Decision(self.ids[name], "reject", annotator=who)])
            self.model.decide(who, [name], "reject")
        self.store.close()
        self.store = Store(self.root / "state.duckdb")

    @rule()
    def rebuild(self):
        before = dump(self.store)
        self.store.close()
        rebuild(self.root)
        self.store = Store(self.root / "state.duckdb")
        assert dump(self.store) == before

    @invariant()
    def state_is_the_models(self):
        rows = self.store.triplets.rows(TripletFilter()).set_index("triplet_id")
        for name, triplet_id in self.ids.items():
            action, _ = self.model.state(name)
            shown = rows.loc[triplet_id]
            decision = "reset" if shown["decision"] != shown["decision"] else (shown["decision"] or "reset")
            assert (decision, shown["positive"], shown["hard_negative"]) == (action, *self.model.texts(name))


TestDecisionSequences = pytest.mark.drill(DecisionSequences.TestCase)
TestDecisionSequences.settings = settings(
    max_examples=12 if DRILL else 4,
    stateful_step_count=16,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
