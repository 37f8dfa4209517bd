"""Judges: calibrations from raw value to 0-5, fitting new ones, agreement with people and between judges."""

import pandas as pd
import streamlit as st

from pipeline.curation.calibration import Calibration
from pipeline.curation.judges import ENSEMBLE
from workbench import state, theme
from workbench.actions.curation import calibrated_judges, known_calibrations, start_calibrate
from workbench.components.curate.curation_settings import current_rule
from workbench.components.curate.judge_agreement import judges_against_people, rule_against_people
from workbench.components.elements import ago, count, empty_state, errors_shown, plain, spearman
from workbench.components.job_progress import job_strip
from workbench.components.triplet_card import Scope, judge_name
from workbench.jobs.kinds import CalibrateSpec
from workbench.workspace import Workspace

_ON_DECISIONS, _ON_GOLD = "People's decisions", "Gold pairs of a folder"


def judges_view(workspace: Workspace, scope: Scope) -> None:
    """Draw the judges of the chosen triplets, with a warning about those worse than chance."""
    job_strip(
        workspace,
        CalibrateSpec,
        key="calibrate",
        where=lambda spec: not set(spec.attempt_ids).isdisjoint(scope.attempt_ids),
    )
    used = workspace.store.judgements.calibrations(list(scope.attempt_ids))
    if not used:
        empty_state(
            "No judge yet",
            hint="Judge these triplets above; then see how scores were calibrated, or calibrate on your own pairs.",
            icon=":material/gavel:",
        )
        return
    known = known_calibrations(workspace)
    chance_warning(known, used)
    rule = current_rule()
    judges_against_people(workspace, scope, list(used), rule)
    rule_against_people(workspace, scope, rule)
    st.subheader("Calibrations", anchor=False)
    _table(used, known)
    chosen = scope.judge_id or next(iter(used))
    with st.container(key="judges_beside"):
        left, right = st.columns([3, 2], gap="large")
    with left:
        _curve(workspace, chosen, used.get(chosen, []), known)
    with right:
        _form(workspace, scope, list(used))


def chance_warning(known: dict[str, Calibration], used: dict[str, list[str]], judge_id: str = "") -> None:
    """Warn of judges that rank gold pairs worse than chance; with `judge_id`, of this one only."""
    for name, versions in used.items():
        bad = [known[version] for version in versions if version in known and known[version].is_worse_than_chance]
        if bad and judge_id in ("", name):
            st.warning(
                f"{plain(judge_name(name))} is **worse than chance**: Spearman {spearman(bad[0].spearman)} on "
                f"{count(bad[0].pairs_held_out)} pairs of {plain(bad[0].fitted_on)} not used for its calibration. "
                "Do not rely on its scores; use another judge.",
                icon=":material/warning:",
            )


def _table(used: dict[str, list[str]], known: dict[str, Calibration]) -> None:
    rows = []
    for judge_id, versions in used.items():
        for version in versions:
            made = known.get(version)
            rows.append(
                {
                    "Judge": judge_name(judge_id),
                    "Calibration": version,
                    "Fitted on": made.fitted_on if made else "unknown",
                    "Spearman": made.spearman * 100 if made else None,
                    "Mean error": made.mean_absolute_error if made else None,
                    "Held-out pairs": made.pairs_held_out if made else None,
                }
            )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        alt="Judges and their calibrations",
        placeholder="–",
        column_config={
            "Spearman": st.column_config.NumberColumn(format="%.1f", help="x 100, on pairs not used for the fit"),
            "Mean error": st.column_config.NumberColumn(format="%.2f", help="Mean absolute error on 0 to 5"),
        },
    )


def _curve(workspace: Workspace, judge_id: str, versions: list[str], known: dict[str, Calibration]) -> None:
    fitted = {item.calibration.version: item for item in workspace.store.calibrations.list(judge_id)}
    options = [version for version in dict.fromkeys([*fitted, *versions]) if version in known]
    if not options:
        st.caption(f"This workspace has no calibration curve of {plain(judge_name(judge_id))}.")
        return
    names = {
        version: f"{version}, {known[version].fitted_on}"
        + (f", {ago(fitted[version].created_at)}" if version in fitted else ", shipped")
        for version in options
    }
    version = str(st.selectbox("Version", options, format_func=names.__getitem__, key=f"calibration_{judge_id}"))
    calibration = known[version]
    points = fitted[version].points if version in fitted else []
    theme.draw(
        curve_figure(calibration, points, judge_name(judge_id)), key=f"curve_{version}", alt="Calibration curve"
    )
    first, second, third = st.columns(3)
    first.metric("Spearman x 100", spearman(calibration.spearman), help="On pairs not used for the fit.")
    second.metric("Mean absolute error", f"{calibration.mean_absolute_error:.2f}", help="On the scale 0 to 5.")
    held_out = f"{count(calibration.pairs_held_out)} held out"
    third.metric("Pairs fitted", count(calibration.pairs_fit), held_out, delta_color="off", delta_arrow="off")
    if version in fitted and (ensemble := fitted[version].ensemble):
        shares = ", ".join(
            f"{plain(judge_name(member))} **{weight:.2f}**"
            for member, weight in zip(ensemble.members, ensemble.weight, strict=True)
        )
        st.caption(f"Weights of the standardised raw values: {shares}")


def curve_figure(calibration: Calibration, points: list[tuple[float, float]], name: str) -> theme.Figure:
    """Draw the score over the raw value, with the held-out pairs used to measure the fit."""
    figure = theme.chart(f"{plain(name)}: raw value to score", x="raw value", y="score, 0 to 5", height=340)
    if points:
        raw, gold = zip(*points, strict=True)
        figure.add_scatter(
            x=raw,
            y=gold,
            mode="markers",
            marker={"color": theme.HUMAN, "size": 7, "opacity": 0.45},
            hovertemplate="raw %{x:.3f}, gold %{y:.2f}<extra></extra>",
            name="held-out pairs",
        )
    figure.add_scatter(
        x=calibration.raw,
        y=calibration.score,
        mode="lines+markers",
        line={"color": theme.INK, "width": 3},
        hovertemplate="raw %{x:.3f} becomes %{y:.2f}<extra></extra>",
        name="calibration",
    )
    figure.update_yaxes(range=[-0.2, 5.2], dtick=1)
    return figure


def _form(workspace: Workspace, scope: Scope, judges: list[str]) -> None:
    st.subheader("Fit a calibration", anchor=False)
    st.caption("Raw values are stored: scores follow the new curve without judging again.")
    plain_judges = [judge for judge in {**dict.fromkeys(judges), **calibrated_judges(workspace)} if _is_plain(judge)]
    here = [judge for judge in judges if _is_plain(judge)]
    chosen = st.multiselect("Judges", plain_judges, here, format_func=judge_name, key="calibrate_judges")
    source = st.segmented_control(
        "On",
        [_ON_GOLD, _ON_DECISIONS],
        default=_ON_GOLD,
        required=True,
        key="calibrate_on",
        wrap=True,
    )
    folder, pairs, ensemble = "", 0, ""
    if source == _ON_GOLD:
        folder = state.folder_input(
            "Folder with gold pairs",
            name=state.GOLD_FOLDER,
            part="calibration",
            help="STS files whose names end in -dev or -train.",
        )
        pairs = st.number_input("Pairs", 50, 10_000, 500, 50, key="calibrate_pairs")
        ensemble = st.text_input(
            "Name of an ensemble to fit as well", key="calibrate_ensemble", max_chars=40, placeholder="no ensemble",
            help="The weighted sum of the judges' raw values that fits gold best, with weights of at least 0.",
        )  # fmt: skip
    else:
        st.caption(
            "Accepted: positive 5, hard negative 0. Swapped: the reverse. Rejected: the side named in the reason."
        )
    ready = bool(chosen) and (source == _ON_DECISIONS or bool(folder))
    if st.button("Fit", icon=":material/tune:", disabled=not ready, key="calibrate_start"):
        with errors_shown():
            start_calibrate(
                workspace,
                attempt_ids=list(scope.attempt_ids),
                judges=list(chosen),
                gold_dir=folder or None,
                pairs=int(pairs),
                ensemble=ensemble.strip() or None,
            )
            st.rerun()


def _is_plain(judge_id: str) -> bool:
    return not judge_id.startswith(f"{ENSEMBLE}:")
