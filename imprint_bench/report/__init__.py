"""The page of a study: `write_report` makes it, with every table and figure beside it."""

from imprint_bench.report.page import write_report
from imprint_bench.report.pictures import inline_svg
from imprint_bench.report.summary import count_reasons

__all__ = ["count_reasons", "inline_svg", "write_report"]
