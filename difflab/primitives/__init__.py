"""The primitives, one record each; importing this package fills the registry."""

from . import complexes, contract, elementwise, index, neural, reduce, shape
from .record import REGISTRY, Aval, Primitive, Traced

__all__ = ["REGISTRY", "Aval", "Primitive", "Traced", "complexes", "contract", "elementwise", "index", "neural", "reduce", "shape"]
