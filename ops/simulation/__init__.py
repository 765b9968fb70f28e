"""The product's own actors in virtual time, over stores, processors and peers in memory; the model and `ops/bench` use it."""
