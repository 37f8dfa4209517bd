"""One random chat model three times: a transformers folder, and a GGUF file for llama.cpp and for torch."""

from pathlib import Path

import numpy as np
import torch
from chat_templates import SPECIALS, tokenizer_of
from gguf import GGUFWriter, TokenType
from transformers import LlamaConfig, LlamaForCausalLM

HEADS, LAYERS, WIDTH, FEED = 4, 2, 64, 96


def folder_of(family: str, folder: Path) -> Path:
    """Save a random Llama with the family's tokenizer and chat template."""
    tokenizer = tokenizer_of(family)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=FEED, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=4096, initializer_range=0.4,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=False,
        rms_norm_eps=1e-5,
    )  # fmt: skip
    LlamaForCausalLM(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def gguf_of(family: str, folder: Path, *, has_bos: bool = False) -> Path:
    """Write the model in a folder as a GGUF file, float32, with the same tokens and template."""
    path = folder.with_suffix(".gguf")
    tokenizer = tokenizer_of(family)
    tokens = [tokenizer.convert_ids_to_tokens(number) for number in range(len(tokenizer))]
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    kinds = dict.fromkeys(SPECIALS[family], TokenType.CONTROL) | dict.fromkeys(
        ("<think>", "</think>"), TokenType.USER_DEFINED
    )
    writer.add_token_types([kinds.get(token, TokenType.NORMAL) for token in tokens])
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(has_bos)
    writer.add_chat_template(tokenizer.chat_template)
    weights = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    for name, tensor in weights.items():
        writer.add_tensor(_name(name), _turned(name, tensor.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
_WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}


def _name(name: str) -> str:
    if name == "lm_head.weight":
        return "output.weight"
    if name in _WHOLE:
        return _WHOLE[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_PARTS[part]}.weight"


def _turned(name: str, weight: np.ndarray) -> np.ndarray:
    """Order the rows of queries and keys as llama.cpp turns them: neighbouring pairs."""
    if "q_proj" not in name and "k_proj" not in name:
        return weight
    rows, columns = weight.shape
    return weight.reshape(HEADS, 2, rows // HEADS // 2, columns).swapaxes(1, 2).reshape(rows, columns).copy()
