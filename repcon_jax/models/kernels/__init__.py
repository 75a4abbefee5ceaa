"""How layers are computed where the compiler needs help."""
