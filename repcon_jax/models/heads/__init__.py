"""Heads, from embeddings to logits; every file registers its builders."""
