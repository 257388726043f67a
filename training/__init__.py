"""Training, evaluation and benchmarks of albu-gan; not part of the installed package."""
