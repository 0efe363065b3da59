"""Looking first: a model file is read and checked here before anything is built from it."""
