"""A study's arms in words, before anything runs."""

from pipeline.studies.spec import Arm


def source_text(arm: Arm) -> str:
    """Say where an arm's triplets come from."""
    size = f", {arm.size:,} at random" if arm.size else ""
    if arm.generation is not None:
        return f"{arm.generation.llm}, omega {arm.generation.omega:g}{size}"
    return (f"snapshot {arm.snapshot}" if arm.snapshot else f"file {arm.file.name if arm.file else ''}") + size


def curation_text(arm: Arm) -> str:
    """Say how an arm is curated."""
    if arm.curation is None:
        return "-"
    rule = arm.curation.rule
    return f"{arm.curation.judge}: {rule.alpha:g}, {rule.beta:g}, {rule.gamma:g}"


def mask_text(arm: Arm) -> str:
    """Say what an arm masks."""
    if arm.train.mask_rule == "none":
        return "-"
    own = ", own kept" if arm.train.protect_own_hard_negative else ""
    return f"{arm.train.mask_rule} {arm.train.mask_threshold:g}{own}"
