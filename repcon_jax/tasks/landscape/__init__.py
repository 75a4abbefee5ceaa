"""Landscapes from one command: networks trained or loaded, measured along surfaces, drawn."""
