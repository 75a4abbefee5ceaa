"""From plain values to checked options: registries, types, choices, patterns."""
