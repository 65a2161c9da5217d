"""The alphabet of ESM-2, with the numbers that its tokens have in transformers' EsmTokenizer."""

from __future__ import annotations

from collections.abc import Iterable

from foldpoint._foldpoint import TOKENS

CLS, PAD, EOS, UNK, MASK = (TOKENS.index(f"<{name}>") for name in ("cls", "pad", "eos", "unk", "mask"))

_NUMBERS = {token: number for number, token in enumerate(TOKENS)}
# As the engine reads them.
_NUMBERS["_"] = MASK
_NUMBERS["J"] = _NUMBERS["X"]


def encode(sequence: str) -> list[int]:
    """Numbers of the tokens of one chain, `<cls>` before and `<eos>` after them; `_` and `<mask>` are masks.

    Raises ValueError about a letter that is no residue.
    """
    numbers = [CLS]
    for place, letter in enumerate(sequence.replace("<mask>", "_").upper(), 1):
        if not (letter.isalpha() or letter == "_") or letter not in _NUMBERS:
            raise ValueError(f"column {place}: found `{letter}`; expected a residue or a mask")
        numbers.append(_NUMBERS[letter])
    return [*numbers, EOS]


def decode(numbers: Iterable[int], *, skip_special_tokens: bool = True) -> str:
    """The sequence of tokens; `<mask>` stays, other special ones only with `skip_special_tokens=False`."""
    skipped = {CLS, PAD, EOS, UNK} if skip_special_tokens else set()
    return "".join(TOKENS[number] for number in numbers if number not in skipped)
