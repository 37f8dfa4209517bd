"""The mask preview as a short job: guide vectors from disk or made once, then counts and examples for every phi."""

from collections.abc import Callable

from pipeline.analysis.mask_preview import KINDS, preview_mask
from pipeline.durable import write_json
from pipeline.records import Triplet
from pipeline.training.encoders import load_encoder, resolve_device
from pipeline.training.guide import guide_table, random_pair_cosines
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.evaluate import triplets_of
from workbench.jobs.kinds import PreviewSpec

RANDOM_PAIRS = 200_000


def run(context: JobContext[PreviewSpec]) -> None:
    """Write out/preview.json; the guide's vectors stay in the workspace for the run that follows."""
    frame = context.input()
    triplets = triplets_of(frame[frame["split"] == "train"])
    context.progress(0, 3, message=f"Loading the guide {context.spec.guide}")
    guide = load_encoder(context.spec.guide, device=resolve_device("auto"))
    context.progress(1, 3, message="Embedding the texts, once for this snapshot and guide")
    table = guide_table(triplets, guide, cache=context.vectors, should_stop=context.stop_requested)
    context.progress(2, 3, message="Comparing premises with candidates")
    unit_ud, rows_n3 = table.unit_ud.numpy(), table.rows_nc.numpy()
    random_cosines = random_pair_cosines(unit_ud, pairs=RANDOM_PAIRS, seed=0)
    premise_nd, positive_nd, hard_negative_nd = (unit_ud[rows_n3[:, column]] for column in range(3))
    found = preview_mask(premise_nd, positive_nd, hard_negative_nd, random_cosines, seed=0)
    text: dict[str, Callable[[Triplet], str]] = {KINDS[0]: lambda t: t.positive}
    for example in found.examples:
        premise, candidate = triplets[example["premise"]], triplets[example["candidate"]]
        example["candidate"] = text.get(example["kind"], lambda t: t.hard_negative)(candidate)
        example["own_positive"] = premise.positive
        example["premise"] = premise.premise
    write_json(context.out / "preview.json", found.to_json() | {"triplets": len(triplets)})
    context.progress(3, 3, message="Done")
