"""Write the tables of settings.md from the configs: `make docs`."""

from dataclasses import MISSING, fields
from pathlib import Path

from pipeline.config import CONFIGS, RULE_PRESETS
from pipeline.settings import Settings, setting_of
from pipeline.train_config import TRAIN_PRESETS

PAGE = Path(__file__).with_name("settings.md")
BEGIN, END = "<!-- made from pipeline/config.py by `make docs` -->", "<!-- end of what is made -->"


def page(text: str) -> str:
    """Return the page with its tables made anew; what stands around them is kept."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return a section per config."""
    parts = []
    for kind in CONFIGS:
        rows = ["| field | default | unit and range | meaning |", "|---|---|---|---|"]
        rows += [row(kind, item.name, item.default) for item in fields(kind)]  # type: ignore[arg-type]
        parts.append(f"## {kind.__name__}\n\n{kind.__doc__}\n\n" + "\n".join(rows) + "\n")
    rules = {name: f"alpha {r.alpha:g}, beta {r.beta:g}, gamma {r.gamma:g}" for name, r in RULE_PRESETS.items()}
    parts.insert(3, f"Presets: {named(rules)}.\n")
    changed = {
        name: ", ".join(
            f"`{item.name}` {getattr(preset, item.name)}"
            for item in fields(preset)
            if item.name == "mask_rule" or getattr(preset, item.name) != item.default
        )
        for name, preset in TRAIN_PRESETS.items()
    }
    parts.append(f"Presets: {named(changed)}.\n")
    return "\n".join(parts)


def row(kind: type[Settings], name: str, default: object) -> str:
    """Return the line of one setting."""
    declared = setting_of(kind, name)
    facts = ", ".join(filter(None, (declared.unit, declared.range()))) or "number"
    shown = "" if default is MISSING else repr(default).replace("'", '"')
    return f"| `{name}` | `{shown}` | {facts} | {declared.help} |"


def named(presets: dict[str, str]) -> str:
    """Return presets with what they set."""
    return "; ".join(f"*{name}* ({words})" for name, words in presets.items())


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
