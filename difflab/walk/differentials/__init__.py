"""Gradients of matrix expressions by the method of differentials.

The rules are those of Magnus and Neudecker, Matrix Differential Calculus with Applications in Statistics and
Econometrics, chapters 8 and 9: d(AB) = dA B + A dB, d(A o B) = dA o B + A o dB, d f(A) = f'(A) o dA,
d A^-1 = -A^-1 dA A^-1, d det A = tr(adj(A) dA), d log|det A| = tr(A^-1 dA).  They act on terms, which are formulas with
shapes and without numbers.

1. ``rules.Rules.step`` is the differential of one term as a sum of links applied to those of its parts, and
   ``Rules.differential`` follows it down to the names: dA = X dW + 1 db^T.  This is the whole of differentiation; no
   derivative by anything has been taken yet, and with numbers for the dX it is the derivative along a direction.
   ``derivation.derivation_text`` prints it.
2. ``identification.Identified`` puts these equations into the differential of the loss, the last defined name first,
   and reads off the gradients by the first identification theorem: df = tr(G^T dX) for all dX means that G is the
   gradient.  Each chain goes from dX to the other factor of the trace, tr(G^T (A dX B)) = tr((A^T G B^T)^T dX).

What stands in front of the differential of a named quantity, as dA, is the delta of the lectures.  To put in the last
name first takes as many steps as there are names; it is the order in which reverse mode visits its tape, and the two
agree because they are about the same derivative.  Nothing else is shared: no pullback of a primitive, no tape with a
backward pass and none of the transforms is used here, and the rules are for terms with shapes, without data.
"""
