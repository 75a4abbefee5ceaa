"""How an overall count of kept entries is shared among layers; every file registers one way."""
