"""What sets selected texts apart from the rest, as a picture and a table; pages and the map share it."""

import pandas as pd
import streamlit as st

from pipeline.analysis.selection import Feature
from workbench import theme
from workbench.components.elements import for_chart

_SHOWN = 12
_LABEL = 30
"""Characters of a label's line."""


def what_sets_apart(found: list[Feature], *, key: str) -> None:
    """Draw the properties that separate the selection best; grey without a clear difference."""
    if not found:
        st.caption(
            "Nothing here sets the selection apart: it is empty, everything, or equal in all that is compared."
        )
        return
    shown = found[:_SHOWN]
    figure = theme.interval_chart(
        "What sets this selection apart",
        x="correlation with being selected",
        rows=[(for_chart(one.name, _LABEL), one.correlation) for one in shown],
    )
    theme.draw(figure, key=f"{key}_apart", alt="Properties that separate the selection from the rest")
    st.caption(
        "Right of zero: more of it in the selection than in the rest. Texts that share sentences count once in the "
        "intervals; the properties are judged together (Holm)."
    )
    with st.expander("As a table"):
        frame = pd.DataFrame(
            {
                "Property": [one.name for one in found],
                "Selected": [one.inside for one in found],
                "Rest": [one.outside for one in found],
                "Correlation": [one.correlation.value for one in found],
                "From": [one.correlation.low for one in found],
                "To": [one.correlation.high for one in found],
                "No clear difference": [not one.correlation.is_settled for one in found],
            }
        )
        numbers = ("Selected", "Rest", "Correlation", "From", "To")
        st.dataframe(
            frame,
            hide_index=True,
            alt="Properties of the selection and of the rest",
            column_config={name: st.column_config.NumberColumn(format="%.2f") for name in numbers}
            | {"Selected": st.column_config.NumberColumn(format="%.2f", help="Mean; a share for a yes or no.")},
        )
