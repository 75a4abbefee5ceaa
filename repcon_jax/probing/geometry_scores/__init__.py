"""Scores of the geometry of a representation; every file registers its builders."""
