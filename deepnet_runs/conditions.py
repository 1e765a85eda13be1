"""What could decide whose law a network follows, as options of `deepnet_runs.train`, one change at a time.

Each condition differs from `base`, the recipe as it is, by what its name says.
"""

CONDITIONS: dict[str, tuple[str, ...]] = {
    "base": (),
    "full-batch": ("--batch-size", "1400"),
    "no-decay": ("--weight-decay", "0"),
    "ce": ("--loss", "ce"),
}
