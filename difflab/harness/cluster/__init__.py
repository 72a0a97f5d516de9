"""More than one machine: units of a run as JSON texts, carried by Dask to nodes that run them as this machine would."""
