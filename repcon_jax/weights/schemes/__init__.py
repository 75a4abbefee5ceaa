"""Naming schemes; every file registers how one library names the tensors of one family of encoders."""
