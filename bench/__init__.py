"""
Measurements for the commitments of `docs/performance.md`: ``python -m bench`` or ``nox -s bench``.

Each group of measurements is a module with a function `rows`. `bench/baselines` has the alternatives for comparison.
"""
