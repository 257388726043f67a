"""The GAN trainer: data to windows, networks, losses, loop, export."""
