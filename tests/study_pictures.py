"""Pictures of a study's report, for tests."""

NAMES = (
    "softlif",
    "means",
    "pvalues",
    "ecdf_most_extreme",
    "predictive",
    "predictions",
    "calibration",
)
FILES = [f"{name}.png" for name in NAMES]
# where only the words of a page matter
BLANK = dict.fromkeys(FILES, b"")
