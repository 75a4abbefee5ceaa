"""One file per criterion or family of criteria; the registry imports them all."""
