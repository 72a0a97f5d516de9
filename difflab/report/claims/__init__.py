"""The pages of studies with a claim: a module per kind, `sections(cases)`, and what it is made of."""
