"""The decoder-only GAN: images with their masks, or shapes alone, from latents.

The approach of the deep convolutional GAN (Radford et al. 2016): a decoder turns a latent into an image and its class
masks together. Its limit is control. A class can be asked for, but the defect lies where and is as large as the latent
says, and the surface around it is invented too, so it cannot paint into an image there is. What it is good for: pairs
to train on as they are (the baseline that inpainting has to beat), and, trained on masks alone, shapes for a mask bank.

References:
    Radford, Metz, Chintala: Unsupervised representation learning with deep convolutional generative adversarial
    networks, 2016.
"""

from training.gan.dcgan.extend import extend_bank
from training.gan.dcgan.folder import DCGAN, load_dcgan
from training.gan.dcgan.sample import sample_pairs, sample_shapes

__all__ = ["DCGAN", "extend_bank", "load_dcgan", "sample_pairs", "sample_shapes"]
