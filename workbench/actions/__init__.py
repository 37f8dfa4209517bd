"""Use cases: what pages and the command line ask of a workspace.

Each is a function of a workspace and plain arguments that answers with a JSON-able dict, so that the command line can
call it in its own process or, while a server owns the workspace, over HTTP. ACTIONS is all that can be asked.
"""

from collections.abc import Callable
from typing import Any

from workbench.actions.analysis import (
    add_behaviour_test,
    add_note,
    generate_like,
    retract_behaviour_test,
    save_pair_slice,
    save_slice,
    seed_corpus,
    start_behaviour,
    start_explain,
    start_margins,
    start_projection,
    start_search,
)
from workbench.actions.curation import (
    curate,
    curation_notes,
    keep_one,
    reject_all,
    save_guidelines,
    save_rule,
    start_calibrate,
    start_hygiene,
    start_judge,
)
from workbench.actions.data import (
    export_triplets,
    import_premises,
    import_triplets,
    open_sample,
    start_fetch_premises,
    start_write_premises,
)
from workbench.actions.decisions import decide, decide_all, decision_history, list_triplets, queue, redo, undo
from workbench.actions.evaluation import import_pairs, start_evaluate, start_fetch
from workbench.actions.generation import (
    count_tokens,
    prompt_sets,
    save_prompt_set,
    start_ask,
    start_generate,
    start_grid,
    start_lens,
    start_regenerate,
    start_retry,
)
from workbench.actions.jobs import attempts, backup, cancel, finish, job, jobs, move, overview, pause, resume, scores
from workbench.actions.models import add_encoder, add_llm, check_llm, encoders, llms, remove_llm
from workbench.actions.training import start_preview, start_study, start_train

ACTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    action.__name__: action
    for action in (
        add_behaviour_test,
        add_encoder,
        add_llm,
        add_note,
        attempts,
        backup,
        cancel,
        check_llm,
        count_tokens,
        curate,
        curation_notes,
        decide,
        decide_all,
        decision_history,
        encoders,
        export_triplets,
        generate_like,
        import_pairs,
        import_premises,
        import_triplets,
        job,
        finish,
        jobs,
        list_triplets,
        llms,
        keep_one,
        move,
        overview,
        open_sample,
        pause,
        prompt_sets,
        queue,
        redo,
        reject_all,
        remove_llm,
        resume,
        retract_behaviour_test,
        save_guidelines,
        save_pair_slice,
        save_prompt_set,
        save_rule,
        save_slice,
        scores,
        seed_corpus,
        start_ask,
        start_behaviour,
        start_calibrate,
        start_evaluate,
        start_explain,
        start_fetch,
        start_fetch_premises,
        start_generate,
        start_grid,
        start_hygiene,
        start_judge,
        start_lens,
        start_margins,
        start_preview,
        start_projection,
        start_regenerate,
        start_retry,
        start_search,
        start_study,
        start_train,
        start_write_premises,
        undo,
    )
}
