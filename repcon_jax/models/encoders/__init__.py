"""Encoders, from images to embeddings; every file registers its builders."""
