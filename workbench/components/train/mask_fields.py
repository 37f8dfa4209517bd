"""The fields of the mask, and the choice of an encoder or guide."""

from typing import Any

import streamlit as st

from pipeline.names import BUILT_IN_ENCODERS

_GUIDE_HELP = "The frozen encoder that judges which candidates are false negatives; φ belongs to it."

_PHI_HELP = (
    "What a φ masks depends on guide and data, and may be next to nothing: the preview beside the form counts it by "
    "kind of candidate. On the sample corpus 0.9 helped by 0.3 points and 0.8 did not, nearly all of it by masking "
    "premises' own hard negatives (docs/stage-ablation.md)."
)


def encoder_choice(label: str, value: str, *, key: str, help: str) -> str:
    """Draw the choice of a built-in encoder or the folder of another one."""
    built_in = list(BUILT_IN_ENCODERS)
    options = built_in if value in built_in else [value, *built_in]
    chosen = st.selectbox(
        label,
        options,
        index=options.index(value),
        accept_new_options=True,
        key=key,
        help=help,
        persist_state="session",
    )
    return chosen or value


def mask_fields(base: dict[str, Any], key: str) -> dict[str, Any]:
    """Draw guide and threshold of a rule that masks."""
    guide = encoder_choice("Guide", base["guide"], key=f"{key}_guide", help=_GUIDE_HELP)
    values: dict[str, Any] = {"guide": guide}
    if base["mask_rule"].startswith("gist"):
        values["mask_threshold"] = st.slider(
            "Margin", -1.0, 2.0, float(base["mask_threshold"]), 0.01, key=f"{key}_margin", persist_state="session"
        )
        return values
    as_share = False
    if "threshold_unit" in base:
        unit = st.segmented_control(
            "φ as",
            ["cosine", "random_pairs"],
            default=base["threshold_unit"],
            required=True,
            format_func={"cosine": "a cosine", "random_pairs": "a share of random pairs"}.__getitem__,
            key=f"{key}_unit",
            persist_state="session",
            help="The same cosine means another thing for another guide; a share of random pairs carries over.",
        )
        values["threshold_unit"], as_share = unit, unit == "random_pairs"
    if as_share:
        start = base["mask_threshold"] * 1000 if base["threshold_unit"] == "random_pairs" else 1.0
        per_thousand = st.number_input(
            "Random pairs above φ, per thousand",
            0.001,
            999.0,
            float(start),
            format="%g",
            key=f"{key}_share",
            persist_state="session",
        )
        values["mask_threshold"] = float(per_thousand) / 1000
    else:
        start = base["mask_threshold"] if base.get("threshold_unit", "cosine") == "cosine" else 0.8
        values["mask_threshold"] = st.slider(
            "φ  guide cosine above which a candidate is masked",
            min(0.0, float(start)),
            max(1.0, float(start)),
            float(start),
            0.01,
            key=f"{key}_phi",
            persist_state="session",
            help=_PHI_HELP,
        )
    return values
