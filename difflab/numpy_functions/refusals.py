"""NumPy functions that cannot be recorded, and what to write instead: errors and README's table come from here.

Those that write in place stand with the functions that make the new array (``builders.py``).
"""

from ..promotion import ADVICE

COUNTS = (
    "counts, and counts have no derivative; for a smooth one add up a kernel such as "
    "np.exp(-((x[:, None] - centres) / width)**2), for counts use np.searchsorted"
)
FILES = "writes to a file, and a traced array holds no data; save what the function returns"
DATES = "is about dates, which have no derivative; convert them to numbers before the function"
SETS = "gives a set of values, which jumps; use np.unique, np.isin or masks"
BITS = "works on the bits of numbers, which has no derivative; do it outside the function"

for _reason, _names in {
    COUNTS: ("histogram", "histogram2d", "histogramdd", "histogram_bin_edges"),
    FILES: ("save", "savetxt", "savez", "savez_compressed"),
    DATES: ("busday_count", "busday_offset", "is_busday", "isnat", "datetime_as_string"),
    SETS: ("intersect1d", "setdiff1d", "setxor1d", "union1d"),
    "gives several results of unknown length; use np.unique": (
        *("unique_all", "unique_counts", "unique_inverse", "unique_values"),
    ),
    "asks where data lie in memory, and a traced array holds none; compare the arrays with `is`": (
        *("shares_memory", "may_share_memory"),
    ),
    BITS: ("frexp", "nextafter", "spacing", "packbits", "unpackbits"),
    "orders by several keys, and the order jumps; use np.argsort of one key": ("lexsort",),
    "gives a dtype that depends on the value; use x.dtype": ("min_scalar_type",),
    "has no derivative rule in difflab; use np.linalg.eigvals of the companion matrix, or backend 'finite'": ("roots",),
    "has no derivative rule in difflab; multiply the factors with np.convolve, or use backend 'finite'": ("poly",),
    "has no derivative rule in difflab; solve for the coefficients with np.linalg.solve": ("polydiv",),
}.items():
    ADVICE.update({f"np.{_name}": _reason for _name in _names})
