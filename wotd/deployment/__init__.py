"""Scripts that SageMaker runs: training in script mode, and inference behind its toolkit.

Each also works when it is copied alone beside an installed ``wotd``.
"""
