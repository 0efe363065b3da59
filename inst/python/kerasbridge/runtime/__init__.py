"""What runs before Keras: backend, devices, seeds. Imports no backend until asked."""
