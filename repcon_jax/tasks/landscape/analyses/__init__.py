"""One file per analysis; the registry imports them all."""
