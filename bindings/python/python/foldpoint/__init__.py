"""Protein structures, contacts, embeddings and logits from sequences, in integer arithmetic.

    import foldpoint as fp

    model = fp.Model()                      # the one that is built in
    structure = model.fold("MKV...")        # .plddt, .coords, .to_pdb() ...
    vectors = model.embed(["MKV...", "GIV..."], pool="mean")

The same sequence and model give the same result on every machine, bit for bit.
"""

from foldpoint import alphabet
from foldpoint._foldpoint import (
    AMINO_ACIDS,
    TOKENS,
    FoldMany,
    Model,
    ModelError,
    Structure,
    __version__,
)
from foldpoint._quantize import quantize

__all__ = [
    "AMINO_ACIDS",
    "TOKENS",
    "FoldMany",
    "Model",
    "ModelError",
    "Structure",
    "__version__",
    "alphabet",
    "quantize",
]
