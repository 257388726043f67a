"""Generators, losses and terms side by side: the same data, budget and seed."""
