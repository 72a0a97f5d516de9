"""Loss and gradient as matrix formulas: terms, the silent rules of algebra, names, and LaTeX."""
