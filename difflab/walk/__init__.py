"""Walking along a tape as the lectures do: an expression, its trace, what travels forward and what comes back."""
