"""The bundled bank of many surfaces, and the package's samples of them."""
