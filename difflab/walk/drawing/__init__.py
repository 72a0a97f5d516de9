"""The drawn graph: what is a node, what is a layer, where everything stands, and the page that steps through it."""
