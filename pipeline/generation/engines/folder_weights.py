"""The weights and tokens of a transformers folder, for the engine that computes in torch.

transformers itself loads the folder (safetensors, in one file or sharded) and checks it; its parameters are then
regrouped. A folder of any family that is not listed here, or with an option that the engine does not compute, keeps
transformers' own code, and no weight is ever ignored silently.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.config import Precision
from pipeline.generation.engines.decoder import Layer, Prepare, Shape, Weights, adjacent, rotations
from pipeline.generation.engines.transformers_folder import LONGEST_WINDOW, FolderWords, load
from pipeline.records import WeightsError

_GEMMAS: Final = ("gemma", "gemma2", "gemma3_text")
FAMILIES: Final = ("llama", "mistral", "qwen2", "qwen3", *_GEMMAS)
"""Values of model_type; SmolLM and SmolLM2 are Llamas, Qwen2.5 is Qwen2."""
_GATES: Final = {"silu": False, "gelu_pytorch_tanh": True}
_STATIC: Final = ("default", "linear", "llama3", "yarn")
"""Ways of scaling rotations that do not depend on the length of the text."""


def computes(folder: Path) -> bool:
    """Return whether the engine computes the model in a folder; an unreadable one is left to transformers."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception:  # loading it says what is wrong with it
        return False
    return _is_known(config)


def slides(folder: Path) -> bool:
    """Return whether a layer of a model that the engine computes sees only the last tokens of a long text."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return any(_sliding(config, number) is not None for number in range(config.num_hidden_layers))


def _kind(config: Any, number: int) -> str:
    kinds = getattr(config, "layer_types", None)
    return str(kinds[number]) if kinds else "full_attention"


def _sliding(config: Any, number: int) -> int | None:
    """Return how many tokens a layer sees, None for all of them."""
    is_sliding = _kind(config, number) == "sliding_attention" or config.model_type == "mistral"
    window = getattr(config, "sliding_window", None)
    return int(window) if is_sliding and window else None


def _is_known(config: Any) -> bool:
    if config.model_type not in FAMILIES or getattr(config, "quantization_config", None) is not None:
        return False
    ropes = getattr(config, "rope_parameters", None) or {}
    kinds = [rope for rope in ropes.values() if isinstance(rope, dict)] or [ropes]
    return (
        _gate(config) in _GATES
        and not getattr(config, "use_bidirectional_attention", None)
        and all(rope.get("rope_type", "default") in _STATIC for rope in kinds)
        and all(rope.get("partial_rotary_factor", 1.0) == 1.0 for rope in kinds)
    )


def _gate(config: Any) -> str:
    return str(getattr(config, "hidden_activation", None) or config.hidden_act)


def read_folder(folder: Path, device: str, precision: Precision, prepare: Prepare) -> tuple[Weights, FolderWords]:
    """Return weights and tokens of a folder that the engine computes; see load.

    prepare: what is done to each layer.

    Raises WeightsError for weights that are damaged or of another shape.
    """
    model, tokenizer = load(folder, "AutoModelForCausalLM", device, precision)
    try:
        words = FolderWords(tokenizer, model)  # asks the head for its size, which the model is about to let go
        return _Regrouped(model).weights(prepare), words
    except (KeyError, AttributeError) as error:
        raise WeightsError(
            f"The weights in {folder} are not those of a {model.config.model_type}: {error}."
        ) from error


class _Regrouped:
    """Takes the parameters out of a model of transformers."""

    def __init__(self, model: Any) -> None:
        self._model, self._config = model, model.config
        self._parameters: dict[str, torch.nn.Parameter] = dict(model.named_parameters())
        self._is_gemma = self._config.model_type in _GEMMAS
        self._width = int(getattr(self._config, "head_dim", None) or 0) or (
            self._config.hidden_size // self._config.num_attention_heads
        )
        self._kinds = sorted(set(getattr(self._config, "layer_types", None) or ["full_attention"]))

    @torch.no_grad()
    def weights(self, prepare: Prepare) -> Weights:
        """Return the regrouped weights; raises KeyError for a parameter that is missing or left over."""
        head = self._model.get_output_embeddings().weight.data
        self._parameters.pop("lm_head.weight", None)
        found = Weights(
            shape=self._shape(),
            embedding=self._take("model.embed_tokens.weight"),
            layers=tuple(prepare(self._layer(number)) for number in range(self._config.num_hidden_layers)),
            norm=self._norm("model.norm"),
            head=head,
            turns=tuple(map(self._turns, self._turning())),
        )
        if self._parameters:
            raise KeyError(min(self._parameters))
        return found

    def _shape(self) -> Shape:
        config = self._config
        scalar = getattr(config, "query_pre_attn_scalar", None) or self._width
        scale = float(getattr(self._model.get_input_embeddings(), "scalar_embed_scale", 1.0))
        return Shape(
            heads=config.num_attention_heads,
            key_heads=config.num_key_value_heads,
            width=self._width,
            window=min(LONGEST_WINDOW, int(getattr(config, "max_position_embeddings", LONGEST_WINDOW))),
            epsilon=config.rms_norm_eps,
            query_scale=scalar**-0.5,
            attention_cap=getattr(config, "attn_logit_softcapping", None),
            logit_cap=getattr(config, "final_logit_softcapping", None),
            embedding_scale=float(torch.tensor(scale).to(self._model.dtype)),
            has_gelu=_GATES[_gate(config)],
        )

    def _layer(self, number: int) -> Layer:
        at = f"model.layers.{number}."
        rows = [adjacent, adjacent, lambda part, width: part]
        heads = [f"{at}self_attn.{part}_proj" for part in "qkv"]
        query_key_value, bias = (
            self._stacked([(name, way) for name, way in zip(heads, rows, strict=True)], part)
            for part in ("weight", "bias")
        )
        gate_up, gate_up_bias = (
            self._stacked([(f"{at}mlp.{name}_proj", rows[2]) for name in ("gate", "up")], part)
            for part in ("weight", "bias")
        )
        has_four = f"{at}pre_feedforward_layernorm.weight" in self._parameters
        feed = "pre_feedforward_layernorm" if has_four else "post_attention_layernorm"
        assert query_key_value is not None and gate_up is not None
        return Layer(
            attention_norm=self._norm(f"{at}input_layernorm"),
            query_key_value=query_key_value,
            query_key_value_bias=bias,
            attention_out=self._take(f"{at}self_attn.o_proj.weight"),
            attention_out_bias=self._maybe(f"{at}self_attn.o_proj.bias"),
            feed_norm=self._norm(f"{at}{feed}"),
            gate_up=gate_up,
            gate_up_bias=gate_up_bias,
            down=self._take(f"{at}mlp.down_proj.weight"),
            down_bias=self._maybe(f"{at}mlp.down_proj.bias"),
            query_norm=self._head_norm(f"{at}self_attn.q_norm"),
            key_norm=self._head_norm(f"{at}self_attn.k_norm"),
            after_attention=self._norm(f"{at}post_attention_layernorm") if has_four else None,
            after_feed=self._norm(f"{at}post_feedforward_layernorm") if has_four else None,
            sliding=_sliding(self._config, number),
            turns=self._turning().index(self._turn_of(number)),
        )

    def _turning(self) -> list[str]:
        """Return the kinds of layers that turn in ways of their own; a single one where all turn alike."""
        rotary = self._model.model.rotary_emb
        return [kind for kind in self._kinds if hasattr(rotary, f"{kind}_inv_freq")] or [""]

    def _turn_of(self, number: int) -> str:
        return _kind(self._config, number) if self._turning() != [""] else ""

    def _turns(self, kind: str) -> torch.Tensor:
        # A judge's question may be longer than what the model was trained on; transformers turns on, too.
        rotary, prefix = self._model.model.rotary_emb, f"{kind}_" if kind else ""
        speeds = getattr(rotary, f"{prefix}inv_freq").float().cpu()
        if 2 * len(speeds) != self._width:
            raise KeyError("only a part of each head is rotated")
        scale = float(getattr(rotary, f"{prefix}attention_scaling"))
        return rotations(speeds, LONGEST_WINDOW, scale=scale).to(self._model.device)

    def _stacked(self, parts: Sequence[tuple[str, Any]], what: str) -> torch.Tensor | None:
        """Return matrices or biases that read the same input as one, and free the single ones."""
        taken = [(self._parameters.pop(f"{name}.{what}", None), way) for name, way in parts]
        found = [(part, way) for part, way in taken if part is not None]
        if not found and what == "bias":
            return None
        if len(found) < len(parts):
            raise KeyError(f"{parts[0][0]}.{what}")
        whole = torch.cat([way(part.data, self._width) for part, way in found])
        for part, _ in found:
            part.data = part.data.new_empty(0)
        return whole

    def _norm(self, name: str) -> torch.Tensor:
        scale = self._take(f"{name}.weight").float()
        return 1 + scale if self._is_gemma else scale

    def _head_norm(self, name: str) -> torch.Tensor | None:
        return adjacent(self._norm(name), self._width) if f"{name}.weight" in self._parameters else None

    def _take(self, name: str) -> torch.Tensor:
        """Return a parameter, which the model lets go."""
        parameter = self._parameters.pop(name)
        values, parameter.data = parameter.data, parameter.data.new_empty(0)
        return values

    def _maybe(self, name: str) -> torch.Tensor | None:
        return self._take(name) if name in self._parameters else None
