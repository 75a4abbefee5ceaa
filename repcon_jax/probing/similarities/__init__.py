"""Similarities of representations; every file registers its builders."""
