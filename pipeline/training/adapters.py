"""LoRA (Hu et al. 2021, arXiv 2106.09685): low-rank matrices are trained beside an encoder's frozen layers.

While a run lasts they stand inside the encoder's own modules; what is saved is the sum, with stock modules and
without peft. Encoders without adapters pass through these functions unchanged.
"""

from copy import deepcopy
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

ALPHA = 32
"""Scale of the adapters, divided by their rank: with a constant one the best learning rate hardly depends on it."""
_PREFIX = "lora_"
"""In the names of peft's parameters."""


def add_adapters(encoder: "SentenceTransformer", rank: int) -> None:
    """Put adapters beside all linear layers of a transformer, drawn from torch's generator, and freeze the rest.

    The encoder computes what it did before until the adapters are trained: their second matrix starts at zero.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=ALPHA, lora_dropout=0.0, target_modules="all-linear")
    inject_adapter_in_model(config, _layers(encoder))


def has_adapters(encoder: "SentenceTransformer") -> bool:
    """Whether an encoder has adapters that are not merged."""
    return any(_PREFIX in name for name, _ in encoder.named_parameters())


def learned_state(encoder: "SentenceTransformer") -> dict[str, Tensor]:
    """Return the tensors that training changes, by name: those of the adapters, or without them all."""
    state: dict[str, Tensor] = encoder.state_dict()
    return {name: value for name, value in state.items() if _PREFIX in name} if has_adapters(encoder) else state


def load_learned_state(encoder: "SentenceTransformer", state: dict[str, Tensor]) -> None:
    """Put back what `learned_state` returned; RuntimeError for tensors that are missing or of another encoder."""
    if learned_state(encoder).keys() != state.keys():
        raise RuntimeError("the tensors are not those that this encoder learns")
    encoder.load_state_dict(state, strict=not has_adapters(encoder))


def merged(encoder: "SentenceTransformer") -> "SentenceTransformer":
    """Return the encoder as it is saved: a copy with the adapters added to its layers, or without them itself.

    A copy, since taking the sum apart again would round the layers.
    """
    if not has_adapters(encoder):
        return encoder
    from peft.tuners.tuners_utils import BaseTunerLayer

    copy = deepcopy(encoder)
    layers = [(name, layer) for name, layer in copy.named_modules() if isinstance(layer, BaseTunerLayer)]
    for name, layer in layers:
        layer.merge()
        copy.set_submodule(name, layer.get_base_layer())
    del _layers(copy).peft_config
    return copy


def _layers(encoder: "SentenceTransformer") -> "PreTrainedModel":
    if encoder.transformers_model is None:
        raise ValueError("adapters stand beside the layers of a transformer, and this encoder has none")
    return encoder.transformers_model
