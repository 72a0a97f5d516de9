"""Scalar expressions as one graph: built, differentiated, counted and turned into code without SymPy."""
