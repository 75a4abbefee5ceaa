"""How anything is trained: one state, one step, one loop."""
