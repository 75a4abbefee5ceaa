"""Encoders, from images to embeddings; every file registers its builders and declares what its networks consist of."""
