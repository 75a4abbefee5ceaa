"""One file per probe; the registry imports them all."""
