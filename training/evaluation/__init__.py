"""How good a painter is: visibility, diversity and distance to real defects, on held-out groups."""
