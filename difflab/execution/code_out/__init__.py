"""Formulas as programs other than plain Python: whole arrays by NumPy or CuPy, C, and symengine's compiler."""
