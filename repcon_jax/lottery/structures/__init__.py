"""One file per structure; the registry imports them all."""
