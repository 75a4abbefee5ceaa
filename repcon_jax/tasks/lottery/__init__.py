"""Iterative pruning from one command: trained, pruned, rewound and trained again, from several starts."""
