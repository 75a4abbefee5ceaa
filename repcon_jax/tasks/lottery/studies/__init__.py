"""One file per study; the registry imports them all."""
