"""One file per kind of result; the registry imports them all."""
