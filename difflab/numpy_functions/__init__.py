"""NumPy's functions in terms of primitives: arguments are normalised here, so that few primitives reach the tape.

Importing this package fills the tables by which a traced array finds them.
"""

from . import choices, complexes, indexing, products, reductions, shapes

__all__ = ["choices", "complexes", "indexing", "products", "reductions", "shapes"]
