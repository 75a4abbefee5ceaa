"""One file a kind of study; the registry imports them all."""
