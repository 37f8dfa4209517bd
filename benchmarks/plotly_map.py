"""The page to compare the map with: Plotly's WebGL scatter of the same points, lasso and table. Run by Streamlit."""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import streamlit as st


@st.cache_data
def points_of(path: str) -> pd.DataFrame:
    """Read a Parquet file with role, text, x and y."""
    return pd.read_parquet(path)


def main() -> None:
    """Draw the points of the file that the address names."""
    st.set_page_config(layout="wide")
    points = points_of(str(Path.cwd() / f"points-{int(st.query_params['n'])}.parquet"))
    figure = go.Figure()
    for role, part in points.groupby("role", sort=False):
        figure.add_trace(
            go.Scattergl(
                x=part["x"],
                y=part["y"],
                mode="markers",
                name=role,
                customdata=part.index,
                marker={"size": 4, "opacity": 0.7},
            )
        )
    figure.update_layout(height=640, dragmode="lasso", margin={"t": 8, "l": 0, "r": 0, "b": 0})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    event = st.plotly_chart(figure, key="map", on_select="rerun", selection_mode=["lasso"])
    rows = [point["customdata"] for point in event.selection.points]
    rows = [row[0] if isinstance(row, list) else row for row in rows]
    st.write(f"Selected ({len(rows):,})")
    st.dataframe(points.iloc[rows].head(1000))


if __name__ == "__main__":
    main()
