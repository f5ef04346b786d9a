"""Joint training: which stream a step draws, its loss, the optimiser, the learning rate, and the loop."""
