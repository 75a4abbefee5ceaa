"""One file per metric or family of metrics; the registry imports them all."""
