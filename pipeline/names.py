"""Names that people type, kept apart from the code behind them so that listing them loads no model."""

BUILT_IN_ENCODERS = ("all-MiniLM-L6-v2", "static-minilm", "smollm2-135m")
BUILT_IN_LLMS = ("smollm2-135m",)
