"""Frameworks of others as backends: the same tape, replayed in their own functions. Nothing of theirs is imported here.

``replay`` turns a tape into straight-line code over a table from primitive to the framework's function; a composite
that the framework has itself (convolution, pooling, cross-entropy) is taken whole, by its span.
"""
