"""One file per kind of picture; the registry imports them all."""
