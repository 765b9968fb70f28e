"""The product's own actors in virtual time, over stores and processors in memory: the model and `ops/bench` use it."""
