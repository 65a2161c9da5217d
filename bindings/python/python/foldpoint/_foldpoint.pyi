from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import Any, Final, Protocol, TypeAlias, final, overload

import numpy as np
from numpy.typing import NDArray

__version__: Final[str]
__all__ = [
    "AMINO_ACIDS",
    "TOKENS",
    "FoldMany",
    "Model",
    "ModelError",
    "Structure",
    "__version__",
    "_model",
    "_structure",
]
AMINO_ACIDS: Final[str]
TOKENS: Final[list[str]]

class _Record(Protocol):
    """What has an identifier and residues, such as Biopython's SeqRecord."""
    @property
    def id(self) -> str | None: ...
    @property
    def seq(self) -> object: ...

_Sequence: TypeAlias = str | tuple[str, str] | _Record
_Sequences: TypeAlias = PathLike[str] | Iterable[_Sequence]
_Floats: TypeAlias = NDArray[np.float32]

class ModelError(Exception): ...

@final
class Structure:
    @property
    def id(self) -> str: ...
    @property
    def sequence(self) -> str: ...
    @property
    def plddt(self) -> _Floats: ...
    @property
    def mean_plddt(self) -> float: ...
    @property
    def pae(self) -> _Floats | None: ...
    @property
    def ptm(self) -> float | None: ...
    @property
    def iptm(self) -> float | None: ...
    @property
    def coords(self) -> _Floats: ...
    @property
    def atom_mask(self) -> NDArray[np.bool_]: ...
    @property
    def confidence(self) -> dict[str, Any]: ...
    @property
    def warnings(self) -> list[str]: ...
    def to_pdb(self) -> str: ...
    def to_mmcif(self, *, pae: bool = False) -> str: ...
    def __len__(self) -> int: ...
    def _repr_html_(self) -> str: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class FoldMany(Iterator[Structure]):
    def __iter__(self) -> FoldMany: ...
    def __len__(self) -> int: ...
    def __next__(self) -> Structure: ...

@final
class Model:
    def __new__(
        cls,
        model: str | PathLike[str] | None = None,
        *,
        threads: int | None = None,
        memory_limit: int | str | None = None,
        isa: str = "auto",
        verify: bool = True,
    ) -> Model: ...
    @staticmethod
    def from_pretrained(name: str, **options: Any) -> Model: ...
    @property
    def name(self) -> str: ...
    @property
    def folds(self) -> bool: ...
    @property
    def kind(self) -> str: ...
    @property
    def layers(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def isa(self) -> str: ...
    def fold(
        self,
        sequence: str,
        *,
        id: str = "",
        recycles: int | None = None,
        cycles: int | None = None,
        rows: int | None = None,
        pae: bool = True,
    ) -> Structure: ...
    def fold_many(
        self,
        sequences: str | _Sequences,
        *,
        recycles: int | None = None,
        cycles: int | None = None,
        rows: int | None = None,
        pae: bool = True,
        progress: bool | Callable[[int, int], object] | None = None,
        errors: str = "raise",
    ) -> FoldMany: ...
    @overload
    def embed(  # type: ignore[overload-overlap]
        self, sequences: str, *, layers: int | str | Iterable[int] | None = None, pool: str | None = None
    ) -> _Floats: ...
    @overload
    def embed(
        self, sequences: _Sequences, *, layers: int | str | Iterable[int] | None = None, pool: str
    ) -> _Floats: ...
    @overload
    def embed(
        self, sequences: _Sequences, *, layers: int | str | Iterable[int] | None = None, pool: None = None
    ) -> list[_Floats]: ...
    @overload
    def contacts(self, sequences: str) -> _Floats: ...  # type: ignore[overload-overlap]
    @overload
    def contacts(self, sequences: _Sequences) -> list[_Floats]: ...
    @overload
    def logits(self, sequences: str, *, all_tokens: bool = False) -> _Floats: ...  # type: ignore[overload-overlap]
    @overload
    def logits(self, sequences: _Sequences, *, all_tokens: bool = False) -> list[_Floats]: ...
    def score(
        self,
        wild_type: str,
        variants: Iterable[str] | None = None,
        *,
        strategy: str = "wt-marginals",
        window: str = "optimal",
        offset: int = 1,
    ) -> NDArray[np.float64]: ...
    def digest(self, sequences: str | _Sequences, *, fold: bool = True) -> str: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def _structure(state: tuple[Any, ...]) -> Structure: ...
def _model(options: dict[str, Any]) -> Model: ...
