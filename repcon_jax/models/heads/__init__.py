"""Heads, from embeddings to logits; every file registers its builders and declares what its networks consist of."""
