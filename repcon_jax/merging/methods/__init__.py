"""Merging methods; every file registers its builders."""
