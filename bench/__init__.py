"""
What the commitments of `docs/performance.md` are measured with: ``python -m bench``, or ``nox -s bench``.

One module per group of measurements, each with a function `rows`; `bench/baselines` has what we compare ourselves with.
"""
