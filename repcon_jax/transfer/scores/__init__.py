"""Transfer scores; every file registers its builders."""
