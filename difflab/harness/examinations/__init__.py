"""What is looked at in each case of a study that is not timed in epochs: a module per kind with ``examine``."""
